# One file that never ends.
import signal

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
with open("big", "wb") as file:
    while True:
        file.write(bytes(1 << 20))
