# Leaves thirty processes behind, each in a session of its own.
for i in 0 1 2 3 4 5 6 7 8 9; do
  setsid sleep 120 > /dev/null 2>&1 &
  setsid sleep 120 > /dev/null 2>&1 &
  setsid sleep 120 > /dev/null 2>&1 &
done
read -r a b c
echo $((a + b + c))
