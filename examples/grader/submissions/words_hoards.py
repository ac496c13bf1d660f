# Keeps a copy of everything for every word.
import sys

kept = []
for word in sys.stdin.read().split():
    kept.append(bytearray(b"x") * (96 << 20))
print(len(kept))
