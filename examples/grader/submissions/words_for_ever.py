# The loop that nobody leaves.
import sys

words = sys.stdin.read().split()
at = 0
while at < len(words):
    print(words.count(words[at]), words[at])
