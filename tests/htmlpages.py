"""HTML files: whether they are well-formed, and what a browser makes of them."""

import base64
import html.parser
import json
import re
import shutil
import subprocess

import pytest

VOID = frozenset({"meta", "link", "img", "br"})


class Page(html.parser.HTMLParser):
    """Tags, what they load, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loaded, self.ids, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "action", "data", "poster"):
                self.loaded.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())


MEASURE = """
<script>
const problems = [];
addEventListener("error", e => problems.push(e.message || e.target.tagName), true);
addEventListener("securitypolicyviolation", e => problems.push(e.blockedURI));
addEventListener("load", async () => {
  const size = e => [e.getBoundingClientRect().width, e.getBoundingClientRect().height];
  const audios = [...document.querySelectorAll("audio")];
  await Promise.all(audios.map(a => a.readyState ? 0 : new Promise(done => {
    a.addEventListener("loadedmetadata", done); a.addEventListener("error", done);
    a.load();
  })));
  const found = {
    charts: [...document.querySelectorAll("svg.chart")].map(size),
    texts: [...document.querySelectorAll("svg.chart text")].filter(t => {
      const box = t.closest(".card").getBoundingClientRect();
      const r = t.getBoundingClientRect();
      return r.left < box.left || r.right > box.right;
    }).map(t => t.textContent),
    images: [...document.images].map(i => [i.naturalWidth, i.naturalHeight]),
    audios: audios.map(a => a.duration),
    requests: performance.getEntriesByType("resource").map(r => r.name.slice(0, 80)),
    wide: document.documentElement.scrollWidth - innerWidth,
    problems,
  };
  const out = document.createElement("output");
  out.id = "measured";
  out.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(found))));
  document.body.append(out);
});
</script>
"""


def measured(report, tmp_path, *, width):
    """Open a copy of a report in Chromium, and measure what it shows."""
    browser = next(
        filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None
    )
    if browser is None:
        pytest.skip("no Chromium on PATH")
    text = report.read_text()
    policy = re.search(
        r'<meta http-equiv="Content-Security-Policy" content="([^"]+)', text
    )
    loose = policy[1] + "; script-src 'unsafe-inline'"
    text = text.replace(policy[1], loose).replace("<head>", "<head>" + MEASURE, 1)
    copy = tmp_path / f"copy-{width}.html"
    copy.write_text(text)
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--enable-logging=stderr", "--virtual-time-budget=8000",
            f"--user-data-dir={tmp_path / f'profile-{width}'}",
            f"--window-size={width},900", "--dump-dom", copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<output id="measured">([^<]+)', done.stdout)
    assert found, done.stdout[-500:] + done.stderr[-2000:]
    return json.loads(base64.b64decode(found[1])) | {"console": said}
