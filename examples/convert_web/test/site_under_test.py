"""What both tests of the site need: the site itself as a process, a mail server, waiting."""
import email
import email.policy
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PROGRAM = ""  # the program under test; main() sets it
HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 60  # seconds: whoever waits so long has failed


def need(module, package):
    """Skips the whole test, and says why, where a Debian package is missing."""
    try:
        return __import__(module, fromlist=["*"])
    except ImportError:
        print(f"skipped: needs the Debian package {package}")
        sys.exit(77)


def wait_until(what, condition):
    """The condition's value, as soon as it is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE} s in vain: {what}")


def sample(name):
    with open(os.path.join(HERE, "..", "samples", name), "rb") as file:
        return file.read()


class MailBox:
    """A real SMTP server (aiosmtpd) on a free port of this machine."""

    def __init__(self, port=0):
        controller = need("aiosmtpd.controller", "python3-aiosmtpd")
        self.mails = []
        self.refuse = None  # what it answers to a mail instead of taking it

        class Handler:
            async def handle_DATA(handler, server, session, envelope):
                if self.refuse:
                    return self.refuse
                message = email.message_from_bytes(envelope.content, policy=email.policy.default)
                self.mails.append((envelope.mail_from, envelope.rcpt_tos, message))
                return "250 taken"

        # It learns its port only after binding, and asks itself whether it is there.
        import socket
        if port == 0:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
        self.controller = controller.Controller(Handler(), hostname="127.0.0.1", port=port)
        self.controller.start()
        self.url = f"smtp://127.0.0.1:{port}"

    def wait_for(self, subject):
        return wait_until(
            f"a mail “{subject}”",
            lambda: next((mail for mail in self.mails if mail[2]["Subject"] == subject), None))

    def close(self):
        self.controller.stop()


class Site:
    """The web site as a process, its data in a folder that goes with it."""

    def __init__(self, *options, stderr=None):
        self.stderr = stderr
        self.folder = tempfile.TemporaryDirectory(prefix="carrel-site-")
        self.hold = os.path.join(self.folder.name, "hold")
        self.options = options
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [PROGRAM, "--serve", *(() if "--port" in self.options else ("--port", "0")),
             "--data", os.path.join(self.folder.name, "data"), "--hold", self.hold, *self.options],
            stdout=subprocess.PIPE, stderr=self.stderr, text=True,
            env={**os.environ, "SITE_UNDER_TEST": self.folder.name})
        line = self.process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", line), line
        self.url = line[:-1]

    def holding(self, on):
        if on:
            open(self.hold, "w").close()
        elif os.path.exists(self.hold):
            os.remove(self.hold)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        return self.process.returncode

    def close(self):
        if self.process.returncode is None:
            self.stop()
        self.folder.cleanup()

    def ask(self, path, data=None, headers=None):
        """(status, headers, body); follows no redirect."""

        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *args):
                return None

        request = urllib.request.Request(self.url + path, data=data, headers=headers or {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def upload(self, name, content, to="nuke", headers=None, **fields):
        """The path of the conversion's page, or the (status, body) of a refusal."""
        fields["to"] = to
        body = b""
        for key, value in fields.items():
            body += (f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n').encode()
        body += (f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
                 "Content-Type: application/octet-stream\r\n\r\n").encode() + content + b"\r\n--b--\r\n"
        status, answer, text = self.ask(
            "/convert", body, {"Content-Type": "multipart/form-data; boundary=b", **(headers or {})})
        return answer["Location"] if status == 303 else (status, text.decode())

    def status(self, path):
        return json.loads(self.ask(path + "/status")[2])

    def wait_for(self, path, state):
        return wait_until(f"{path} to be {state}",
                          lambda: (now := self.status(path))["state"] == state and now)

    def processes(self):
        """The site's workers, which are no children of its process: {pid: start time}."""
        mine = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as environment:
                    if f"SITE_UNDER_TEST={self.folder.name}\0".encode() not in environment.read():
                        continue
            except OSError:
                continue
            if int(pid) != self.process.pid:
                mine[int(pid)] = start_time(pid)
        return {pid: started for pid, started in mine.items() if started}


def start_time(pid):
    """So that no pid is mistaken for an older one; None: it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def alive(processes):
    """Those of them that still run."""
    return [pid for pid, started in processes.items() if start_time(pid) == started]


def main(unittest):
    global PROGRAM
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} PROGRAM [TEST…]")
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
