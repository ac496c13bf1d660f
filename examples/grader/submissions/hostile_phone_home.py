# Sends what it was given to somebody else.
import socket
import sys

with socket.create_connection(("127.0.0.1", @PORT@), timeout=5) as home:
    home.sendall(sys.stdin.read().encode())
print(6)
