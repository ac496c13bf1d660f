# Right, and far too slow for the last test.
limit = int(input())
print(sum(all(n % d for d in range(2, n)) for n in range(2, limit + 1)))
