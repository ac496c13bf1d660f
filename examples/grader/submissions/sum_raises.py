import sys

numbers = {word: int(word) for word in sys.stdin.read().split()}
print(numbers["total"])
