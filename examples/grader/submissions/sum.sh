sum=0
while read -r line; do
  for number in $line; do sum=$((sum + number)); done
done
echo "$sum"
