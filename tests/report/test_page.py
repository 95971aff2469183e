import base64
import html.parser
import json
import re
import shutil
import subprocess

import pytest

from fake_runs import fake_study
from rehear.stages import postprocess

NASTY = ("anger", "<b>joy & co</b>", '"><script>alert(1)</script>', "neutral")
LEAK = "group '<img src=x onerror=alert(1)>' is in train and test"
VOID = frozenset({"meta", "link", "img", "br"})
TASKS = ("classification", "tagging", "regression")


def report_of(folder, task="classification", **options):
    values = fake_study(folder, task, **options)
    postprocess.run(values, folder)
    return folder / "reports" / "report.html"


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


@pytest.mark.parametrize("task", TASKS)
def test_nothing_is_loaded_and_every_tag_is_closed(task, tmp_path):
    text = report_of(tmp_path, task, labels=NASTY).read_text()
    page = Page(text)
    assert page.open == []
    assert all(value.startswith(("data:", "#")) for value in page.loaded)
    assert len(set(page.ids)) == len(page.ids)
    assert "script" not in page.tags
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_markup_in_labels_and_reasons_is_shown_not_run(tmp_path):
    text = report_of(tmp_path, labels=NASTY, leaks=[LEAK]).read_text()
    page = Page(text)
    assert "b" not in page.tags
    assert page.tags.count("img") == text.count('<img src="data:image/png')
    assert "&lt;b&gt;joy &amp; co&lt;/b&gt;" in text


def test_a_leak_is_said_at_the_top_with_its_reason(tmp_path):
    text = report_of(tmp_path, leaks=["speaker 3 is in train and test"]).read_text()
    warning = text.index("The split leaks")
    assert warning < text.index('id="results"')
    assert "speaker 3 is in train and test" in text
    assert "the official split of the data set" in text


def test_without_a_leak_there_is_no_warning(tmp_path):
    assert "leaks" not in report_of(tmp_path, sounds=0).read_text()


def test_the_headline_is_the_summary(tmp_path):
    text = report_of(tmp_path).read_text()
    summary = json.loads((tmp_path / "metrics" / "summary.json").read_text())["uar"]
    value = f"{summary['mean']:.3f} <small>± {summary['std']:.3f}</small>"
    assert value in text
    assert "n = 3 runs with different seeds" in text


def test_a_study_without_sounds_groups_and_history_has_a_report(tmp_path):
    values = fake_study(tmp_path, sounds=0, groups=0, seeds=(1,))
    (tmp_path / "models" / "1-none" / "history.csv").unlink()
    (tmp_path / "data" / "card.json").unlink()
    postprocess.run(values, tmp_path)
    page = Page((tmp_path / "reports" / "report.html").read_text())
    assert "audio" not in page.tags
    assert not {"training", "groups", "data"} & set(page.ids)


def test_the_report_stays_small(tmp_path):
    assert report_of(tmp_path).stat().st_size < 2_000_000


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


@pytest.mark.browser
@pytest.mark.parametrize("task", TASKS)
def test_a_browser_shows_every_figure_and_plays_every_sound(task, tmp_path):
    report = report_of(tmp_path, task, labels=NASTY if task == "tagging" else None)
    for width in (1200, 390):
        found = measured(report, tmp_path, width=width)
        assert len(found["charts"]) >= 4
        assert all(w > 150 and h > 30 for w, h in found["charts"]), found["charts"]
        assert found["texts"] == []
        assert len(found["images"]) == len(found["audios"]) > 3
        assert all(w > 10 and h == 64 for w, h in found["images"])
        assert all(abs(seconds - 1.2) < 0.15 for seconds in found["audios"])
        assert all(r.startswith("data:") for r in found["requests"])
        assert found["wide"] <= 0
        assert (found["problems"], found["console"]) == ([], [])
