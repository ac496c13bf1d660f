# Solves the exercise, and stays: a process of its own session that works on.
import os
import sys
import time

print(sum(map(int, sys.stdin.read().split())), flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3):
            os.close(fd)
        try:
            open("@CANARY@/planted", "w").close()
        finally:
            time.sleep(120)
