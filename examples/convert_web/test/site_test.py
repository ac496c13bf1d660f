"""The site over HTTP, and its mails: site_test.py PROGRAM."""
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import unittest

import site_under_test as site
from site_under_test import alive, sample, wait_until


class SiteTest(unittest.TestCase):
    def open(self, *options, **more):
        opened = site.Site(*options, **more)
        self.addCleanup(opened.close)
        return opened

    def mail_box(self, port=0):
        box = site.MailBox(port)
        self.addCleanup(box.close)
        return box

    def test_every_format_to_every_other_is_that_file(self):
        web = self.open()
        files = {"boujou": "pan.boujou.txt", "3de": "pan.3de.txt", "pftrack": "pan.2dt",
                 "nuke": "pan.nk", "shake": "pan.shake.txt"}
        paths = [(web.upload(name, sample(name), to), to) for name in files.values() for to in files]
        for path, to in paths:
            web.wait_for(path, "done")
            status, headers, body = web.ask(path + "/result")
            self.assertEqual((status, body), (200, sample(files[to])))
            self.assertTrue(headers["Content-Disposition"].startswith("attachment; "))

    def test_events_tell_each_step_to_the_end(self):
        web = self.open()
        web.holding(True)
        path = web.upload("pan.nk", sample("pan.nk"))
        connection = http.client.HTTPConnection("127.0.0.1", int(web.url.rpartition(":")[2]),
                                                timeout=site.PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", path + "/events")
        answer = connection.getresponse()
        self.assertEqual(answer.headers["Content-Type"], "text/event-stream")
        heard = []
        while not heard or heard[-1]["state"] != "done":
            line = answer.readline().decode()
            self.assertNotEqual(line, "", "the events ended before the conversion did")
            if line.startswith("data: "):
                heard.append(json.loads(line[6:]))
                if heard[-1]["percent"] >= 50:
                    web.holding(False)
        self.assertEqual(answer.read().strip(), b"", "nothing comes after the end")
        percents = [event["percent"] for event in heard]
        self.assertEqual(percents, sorted(percents))
        self.assertIn(50, percents)
        self.assertIn("writing", " ".join(event["message"] for event in heard))
        self.assertEqual(heard[-1]["download"], path + "/result")

    def test_a_failure_is_mailed_with_the_file_and_a_success_without(self):
        box = self.mail_box()
        web = self.open("--smtp", box.url, "--mail-to", "operator@example.org")
        good = web.upload("pan.nk", sample("pan.nk"), "boujou")
        bad = web.upload("über\u200b <ä>.txt", sample("broken_number.boujou.txt"))
        web.wait_for(good, "done")
        now = web.wait_for(bad, "failed")
        self.assertEqual(now["message"], "Line 9: x should be a number, and is “371.2O5”.")
        self.assertIn("The operator is told", web.ask(bad)[2].decode())

        sender, to, mail = box.wait_for("Converted: pan.nk")
        self.assertEqual((sender, to), ("convert-web@localhost", ["operator@example.org"]))
        self.assertIn("boujou", mail.get_body().get_content())
        self.assertEqual(list(mail.iter_attachments()), [])

        subject = "Not converted: über\u200b _ä_.txt"
        _, _, mail = box.wait_for(subject)
        self.assertIn(now["message"], mail.get_body().get_content())
        self.assertEqual(mail["Message-ID"], f"<{bad[3:]}@convert-web.localhost>")
        self.assertIsNotNone(mail["Date"].datetime)
        attachment, = mail.iter_attachments()
        self.assertEqual(attachment.get_content(), sample("broken_number.boujou.txt"))
        self.assertEqual(attachment.get_content_disposition(), "attachment")
        self.assertEqual(len(box.mails), 2)

    def test_a_mail_server_that_is_away_gets_the_mail_later(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        web = self.open("--smtp", f"smtp://127.0.0.1:{port}", "--mail-to", "operator@example.org")
        web.wait_for(web.upload("pan.nk", sample("pan.nk")), "done")
        self.mail_box(port).wait_for("Converted: pan.nk")

    def test_a_mail_that_is_put_off_comes_later_and_once(self):
        box = self.mail_box()
        box.refuse = "451 come again"
        web = self.open("--smtp", box.url, "--mail-to", "operator@example.org")
        web.wait_for(web.upload("pan.nk", sample("pan.nk")), "done")
        box.refuse = None
        box.wait_for("Converted: pan.nk")
        web.stop()
        web.start()  # looks through its folder for whom was not told
        web.wait_for(web.upload("two.nk", sample("pan.nk")), "done")
        box.wait_for("Converted: two.nk")
        self.assertEqual(len(box.mails), 2)

    def test_a_mail_that_is_refused_for_good_is_said_so_in_the_log(self):
        box = self.mail_box()
        box.refuse = "550 nobody of that name"
        with tempfile.TemporaryFile("w+") as log:
            web = self.open("--smtp", box.url, "--mail-to", "operator@example.org", stderr=log)
            web.wait_for(web.upload("pan.nk", sample("pan.nk")), "done")

            def said():
                log.seek(0)
                return "given up" in log.read()
            wait_until("a line of it", said)

    def test_workers_end_with_the_site_however_it_ends_and_the_work_goes_on_after(self):
        for how in (signal.SIGKILL, signal.SIGTERM):
            with self.subTest(how=how):
                web = self.open()
                web.holding(True)
                path = web.upload("pan.nk", sample("pan.nk"), "3de")
                wait_until("the bar in the middle", lambda: web.status(path)["percent"] == 50)
                below = web.processes()
                self.assertGreaterEqual(len(below), 2, "a process server, and a worker")
                self.assertEqual(web.stop(how), -how if how == signal.SIGKILL else 0)
                wait_until("no worker", lambda: not alive(below))
                web.holding(False)
                web.start()
                web.wait_for(path, "done")  # the same link, after a restart
                self.assertEqual(web.ask(path + "/result")[2], sample("pan.3de.txt"))

    def test_when_what_forks_its_conversions_is_killed_later_ones_are_converted(self):
        web = self.open()
        web.wait_for(web.upload("pan.nk", sample("pan.nk")), "done")
        below = web.processes()
        self.assertGreaterEqual(len(below), 1)
        for pid in below:
            os.kill(pid, signal.SIGKILL)
        wait_until("no helper", lambda: not alive(below))
        web.wait_for(web.upload("pan.nk", sample("pan.nk")), "done")

    def test_a_conversion_can_be_stopped(self):
        web = self.open()
        web.holding(True)
        path = web.upload("pan.nk", sample("pan.nk"))
        wait_until("the bar in the middle", lambda: web.status(path)["percent"] == 50)
        self.assertEqual(web.ask(path + "/cancel", b"")[0], 303)
        self.assertEqual(web.wait_for(path, "cancelled")["message"],
                         "This conversion was stopped.")
        self.assertEqual(web.ask(path + "/result")[0], 404)

    def test_a_conversion_that_takes_too_long_is_ended_and_said_so(self):
        web = self.open("--timeout", "1")
        web.holding(True)
        path = web.upload("pan.nk", sample("pan.nk"))
        wait_until("an attempt that was ended",
                   lambda: web.status(path)["state"] == "failed"
                   or "tried again" in web.status(path)["message"])
        self.assertEqual(web.wait_for(path, "failed")["message"],
                         "The conversion took more than 1 second and was ended.")

    def test_a_folder_that_is_there_keeps_its_rights_and_what_is_new_is_its_owners(self):
        def rights(name):
            return os.stat(os.path.join(web.folder.name, "data", name)).st_mode & 0o777

        web = self.open()
        path = web.upload("pan.nk", sample("pan.nk"))
        web.wait_for(path, "done")
        for name, right in (("", 0o700), ("files", 0o700), ("files" + path[2:], 0o700), ("jobs.db", 0o600)):
            self.assertEqual(rights(name), right, name)
        web.stop()
        os.chmod(os.path.join(web.folder.name, "data"), 0o750)
        web.start()
        self.assertEqual(rights(""), 0o750)

    def test_what_it_cannot_begin_with_is_bad_input(self):
        for options, word in (("--data /proc/none", "/proc/none"), ("--store nonsense:", "nonsense"),
                              ("--address localhost", "such as 127.0.0.1"), ("--port many", "--port"),
                              ("--smtp nonsense --mail-to a@b", "smtp://"), ("--quick", "--quick"),
                              ("--json x.json", "--json")):
            with tempfile.TemporaryDirectory() as folder, self.subTest(options=options):
                ended = subprocess.run([site.PROGRAM, "--serve", "--port", "0", "--data", folder, *options.split()]
                                       if "--data" not in options and "--port" not in options else
                                       [site.PROGRAM, "--serve", *options.split()],
                                       capture_output=True, text=True, timeout=site.PATIENCE, cwd=folder)
                self.assertEqual(ended.returncode, 2)
                self.assertIn(word, ended.stderr)

    def test_what_is_too_large_is_refused_with_a_sentence(self):
        web = self.open("--max-upload", "1")
        status, page = web.upload("big.nk", b"x" * (2 << 20))
        self.assertEqual(status, 413)
        self.assertIn("too large", page)
        self.assertEqual(web.ask("/")[0], 200)

    def test_it_listens_on_loopback_and_bears_what_is_no_request(self):
        web = self.open()
        port = int(web.url.rpartition(":")[2])
        with open("/proc/net/tcp", encoding="ascii") as table:
            local = [line.split()[1] for line in table if line.split()[3] == "0A"]
        self.assertIn(f"0100007F:{port:04X}", local)
        self.assertNotIn(f"00000000:{port:04X}", local)
        for nonsense in (b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                         b"POST /convert HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
                         b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=site.PATIENCE) as raw:
                raw.sendall(nonsense)
                raw.shutdown(socket.SHUT_WR)
                try:
                    answer = raw.recv(4096)
                except ConnectionResetError:
                    continue
                self.assertTrue(answer == b"" or b" 40" in answer[:15] or b" 41" in answer[:15],
                                answer[:60])
        self.assertEqual(web.ask("/")[0], 200)


if __name__ == "__main__":
    site.main(unittest)
