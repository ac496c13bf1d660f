tr 'A-Z ' 'a-z\n' | grep . | sort | uniq -c | sed 's/^ *//'
