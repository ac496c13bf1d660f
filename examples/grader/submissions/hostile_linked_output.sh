# Puts a link where a careless grader looks for the output.
rm -f out
ln -s "@CANARY@/secret" out
