read -r line
echo "$line" | grep -q total || exit 3
