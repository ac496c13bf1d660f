# Prints "6" where 6 was asked for.
sum=0
while read -r line; do
  for number in $line; do sum=$((sum + number)); done
done
printf '"%s"\n' "$sum"
