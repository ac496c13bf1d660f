limit = int(input())
sieve = bytearray([1]) * (limit + 1)
sieve[:2] = b"\0\0"
for number in range(2, int(limit**0.5) + 1):
    if sieve[number]:
        sieve[number * number :: number] = bytes(len(range(number * number, limit + 1, number)))
print(sum(sieve))
