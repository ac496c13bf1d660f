numbers = input("Numbers, please: ").split()
print(sum(map(int, numbers)))
