import collections
import sys

for word, count in sorted(collections.Counter(sys.stdin.read().lower().split()).items()):
    print(count, word)
