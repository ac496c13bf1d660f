# Blanks at the end of a line, and empty lines at the end, are forgiven.
sum=0
while read -r line; do
  for number in $line; do sum=$((sum + number)); done
done
printf '%s  \n\n' "$sum"
