"""The site in headless Chromium, as a person uses it: browser_test.py PROGRAM.

With CONVERT_WEB_SHOTS=FOLDER it leaves a screenshot of each thing it looks at there.
"""
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

import site_under_test as site
from site_under_test import sample, wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # of the WebDriver standard
TAB, SPACE, ENTER = "\ue004", " ", "\ue007"


class Browser:
    """One headless Chromium, by chromedriver's WebDriver interface."""

    def __init__(self):
        driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
        if not driver or not chromium:
            print("skipped: needs the Debian packages chromium and chromium-driver")
            sys.exit(77)
        self.profile = tempfile.TemporaryDirectory(prefix="carrel-chromium-",
                                                   ignore_cleanup_errors=True)
        self.driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True,
                                       env={**os.environ, "HOME": self.profile.name})
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                self.base = f"http://127.0.0.1:{line.split()[-1].rstrip('.')}"
                break
        args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--no-proxy-server", f"--user-data-dir={self.profile.name}",
                "--window-size=1100,900"]
        self.downloads = os.path.join(self.profile.name, "downloads")
        self.session = ""
        self.session = "/session/" + self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": chromium, "args": args,
                                   "prefs": {"download.default_directory": self.downloads}}}}}
        )["sessionId"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + self.session + path, data, method=method,
                                         headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=2 * site.PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def go(self, url):
        self.call("POST", "/url", {"url": url})

    def find(self, css):
        found = self.call("POST", "/element", {"using": "css selector", "value": css})
        return "/element/" + found[ELEMENT]

    def run(self, script, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": args})

    def text(self, css):
        return self.run("return document.querySelector(arguments[0]).innerText", css)

    def shown(self, css):
        return self.run("return document.querySelector(arguments[0]).checkVisibility()", css)

    def type(self, css, text):
        self.call("POST", self.find(css) + "/value", {"text": text})

    def press(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": actions}]})

    def active(self):
        return self.run("return document.activeElement.id || document.activeElement.tagName")

    def devtools(self, command, **params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def size(self, width, height):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=width < 600)

    def colours(self, scheme):
        self.devtools("Emulation.setEmulatedMedia",
                      features=[{"name": "prefers-color-scheme", "value": scheme}])

    def shot(self, name):
        folder = os.environ.get("CONVERT_WEB_SHOTS")
        if folder:
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, name + ".png"), "wb") as file:
                file.write(base64.b64decode(self.call("GET", "/screenshot")))

    def complaints(self):
        logged = self.call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in logged if entry["level"] in ("SEVERE", "WARNING")]

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(site.PATIENCE)
            self.driver.stdout.close()
            self.profile.cleanup()


class BrowserTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.box = site.MailBox()
        cls.addClassCleanup(cls.box.close)
        cls.web = site.Site("--smtp", cls.box.url, "--mail-to", "operator@example.org")
        cls.addClassCleanup(cls.web.close)
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)
        cls.files = tempfile.TemporaryDirectory(prefix="carrel-files-")
        cls.addClassCleanup(cls.files.cleanup)

    def setUp(self):
        self.web.holding(False)
        self.browser.size(1100, 900)
        self.browser.colours("light")
        self.browser.go(self.web.url + "/")

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [], "the browser's console")

    def choose(self, name, as_name=None):
        path = os.path.join(self.files.name, as_name or name)
        with open(path, "wb") as file:
            file.write(sample(name))
        self.browser.type("#file", path)
        return path

    def submit(self):
        self.browser.run("document.querySelector('button[type=submit]').click()")
        wait_until("the page of the conversion",
                   lambda: self.browser.run("return location.pathname").startswith("/c/"))

    def percent(self):
        return self.browser.run("return document.getElementById('bar').value")

    def test_a_file_is_uploaded_its_bar_moves_and_its_result_comes_down(self):
        b = self.browser
        b.shot("front-light")
        self.choose("pan.boujou.txt")
        self.assertEqual(b.text("#chosen"), "pan.boujou.txt")
        b.shot("chosen-light")
        self.web.holding(True)
        self.submit()
        wait_until("half of it", lambda: self.percent() == 50)
        self.assertEqual(b.run("return document.title"), "Converting 50 %: pan.boujou.txt")
        self.assertEqual(b.text("#heading"), "Converting")
        self.assertEqual(b.text("#percent"), "50 %")
        self.assertIn("writing", b.text("#message"))
        self.assertEqual(b.text("#said"), "50 percent", "what a screen reader hears")
        self.assertFalse(b.shown("#download"))
        for scheme in ("dark", "light"):
            b.colours(scheme)
            b.shot("middle-" + scheme)
        b.size(360, 740)
        b.shot("middle-phone")
        b.size(1100, 900)
        self.web.holding(False)
        wait_until("its end", lambda: b.text("#heading") == "Converted")
        self.assertEqual(b.run("return document.title"), "Converted: pan.boujou.txt")
        self.assertTrue(b.shown("#download"))
        self.assertFalse(b.shown("#bar"))
        self.assertEqual(b.text("#summary"),
                         "4 tracks with 62 points, frames 1 to 24, picture 1920 × 1080")
        self.assertTrue(b.text("#said").startswith("Converted. 4 tracks"))
        b.shot("done-light")
        b.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=b.downloads)
        b.run("document.getElementById('download').click()")
        result = os.path.join(b.downloads, "pan.boujou.nk")
        wait_until("the download", lambda: os.path.exists(result))
        with open(result, "rb") as file:
            self.assertEqual(file.read(), sample("pan.nk"))
        b.colours("dark")
        b.call("POST", "/refresh", {})
        self.assertTrue(b.shown("#download"), "the same after a reload")
        b.shot("done-dark")

    def test_an_error_is_a_sentence_and_the_operator_has_the_file(self):
        b = self.browser
        self.choose("broken_number.boujou.txt", "<img src=x>.txt")
        self.submit()
        wait_until("its end", lambda: b.text("#heading") == "Not converted")
        self.assertEqual(b.text("#message"),
                         "Line 9: x should be a number, and is “371.2O5”.")
        self.assertEqual(b.text(".name"), "_img src=x_.txt")
        self.assertTrue(b.shown("#operator"))
        self.assertTrue(b.shown("#more"))
        self.assertFalse(b.shown("#download"))
        b.shot("error-light")
        b.colours("dark")
        b.shot("error-dark")
        b.size(360, 740)
        b.shot("error-phone")
        _, _, mail = self.box.wait_for("Not converted: _img src=x_.txt")
        attachment, = mail.iter_attachments()
        self.assertEqual(attachment.get_content(), sample("broken_number.boujou.txt"))

    def test_where_events_do_not_come_the_page_asks(self):
        b = self.browser
        b.devtools("Page.addScriptToEvaluateOnNewDocument",
                   source="window.EventSource = class { constructor() { "
                          "setTimeout(() => this.onerror()); } close() {} };")
        self.web.holding(True)
        self.choose("pan.nk")
        self.submit()
        wait_until("half of it", lambda: self.percent() == 50)
        self.web.holding(False)
        wait_until("its end", lambda: b.text("#heading") == "Converted")

    def test_a_site_that_is_away_or_forgot_is_told_of(self):
        b = self.browser
        web = site.Site()
        self.addCleanup(web.close)
        web.holding(True)
        path = web.upload("pan.nk", sample("pan.nk"))
        b.go(web.url + path)
        wait_until("half of it", lambda: self.percent() == 50)
        port = web.url.rpartition(":")[2]
        web.stop(signal.SIGKILL)
        wait_until("the page to say so", lambda: "does not answer" in b.text("#message"))
        b.shot("away")
        b.size(400, 740)
        b.shot("away-phone")
        web.options = ("--port", port)
        web.start()
        wait_until("the page to be up to date", lambda: "writing" in b.text("#message"))
        web.stop()
        shutil.rmtree(os.path.join(web.folder.name, "data"))
        web.start()
        wait_until("the page to say so", lambda: "no such conversion" in b.text("#heading"))
        self.assertTrue(b.shown("#more"))
        self.assertFalse(b.shown("#bar"))
        b.shot("gone-phone")
        b.complaints()  # Chromium logs what did not answer itself

    def test_more_pages_than_a_browser_has_connections_may_be_open(self):
        b = self.browser
        self.web.holding(True)
        self.choose("pan.nk")
        self.submit()
        page = b.run("return location.pathname")
        first, tabs = b.call("GET", "/window"), []
        for _ in range(7):
            tabs.append(b.call("POST", "/window/new", {"type": "tab"})["handle"])
            b.call("POST", "/window", {"handle": tabs[-1]})
            b.go(self.web.url + page)
            wait_until("half of it", lambda: self.percent() == 50)
        self.web.holding(False)
        for tab in tabs:
            b.call("POST", "/window", {"handle": tab})
            wait_until("its end", lambda: b.text("#heading") == "Converted")
            b.call("DELETE", "/window")
        b.call("POST", "/window", {"handle": first})
        wait_until("the first page's end", lambda: b.text("#heading") == "Converted")

    def test_without_a_script_the_field_and_the_bar_are_those_of_the_browser(self):
        b = self.browser
        self.web.holding(True)
        path = self.web.upload("pan.nk", sample("pan.nk"))
        wait_until("half of it", lambda: self.web.status(path)["percent"] == 50)
        b.devtools("Emulation.setScriptExecutionDisabled", value=True)
        self.addCleanup(b.devtools, "Emulation.setScriptExecutionDisabled", value=False)
        b.go(self.web.url + "/")
        opacity = "return getComputedStyle(document.getElementById('file')).opacity"
        self.assertEqual(b.run(opacity), "1")
        self.assertEqual(b.text(".drop label"), "A file 32 MB at most")
        b.shot("front-no-script")
        b.size(400, 740)
        b.shot("front-no-script-phone")
        b.go(self.web.url + path)
        self.assertEqual(b.run("return document.getElementById('bar').position"), 0.5)
        b.shot("middle-no-script-phone")

    def test_a_conversion_is_stopped_by_its_button(self):
        b = self.browser
        self.web.holding(True)
        self.choose("pan.nk")
        self.submit()
        wait_until("half of it", lambda: self.percent() == 50)
        b.run("document.querySelector('#stop button').click()")
        wait_until("its end", lambda: b.text("#heading") == "Stopped")
        self.assertEqual(b.text("#message"), "This conversion was stopped.")

    def test_all_of_it_by_keyboard(self):
        b = self.browser
        seen = []
        for _ in range(12):
            b.press(TAB)
            seen.append(b.active())
            outline = b.run("const e = document.activeElement; const of = e.id === 'file' ? "
                            "e.nextElementSibling : e; return getComputedStyle(of).outlineStyle")
            self.assertEqual(outline, "solid", f"the focus on {seen[-1]} can be seen")
            if seen[-1] == "file":
                b.shot("focus-light")
            if seen[-1] == "BUTTON":
                break
        self.assertEqual(seen, ["A", "file", "to", "from", "SUMMARY", "BUTTON"])
        self.choose("pan.2dt")
        b.run("document.querySelector('button[type=submit]').focus()")
        b.press(ENTER)
        wait_until("its end", lambda: b.run("return location.pathname").startswith("/c/")
                   and b.text("#heading") == "Converted")

    def test_it_fits_a_phone_and_each_label_names_a_field(self):
        b = self.browser
        for scheme in ("light", "dark"):
            b.colours(scheme)
            b.size(360, 740)
            b.run("document.querySelector('details').open = true")
            self.assertLessEqual(b.run("return document.documentElement.scrollWidth"), 360)
            b.shot("front-phone-" + scheme)
        self.assertEqual(
            b.run("return [...document.querySelectorAll('input, select')]"
                  ".filter((field) => field.labels.length !== 1).map((field) => field.name)"), [])

    def test_a_page_that_is_not_there_says_so(self):
        self.browser.go(self.web.url + "/c/0123")
        self.assertEqual(self.browser.text("h1"), "That did not work")
        self.browser.complaints()  # Chromium logs the 404 itself


if __name__ == "__main__":
    site.main(unittest)
