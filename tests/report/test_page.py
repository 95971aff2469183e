import json
import re

import pytest

from fake_runs import fake_study
from htmlpages import Page, measured
from rehear.stages import postprocess

NASTY = ("anger", "<b>joy & co</b>", '"><script>alert(1)</script>', "neutral")
LEAK = "group '<img src=x onerror=alert(1)>' is in train and test"
TASKS = ("classification", "tagging", "regression")


def report_of(folder, task="classification", **options):
    values = fake_study(folder, task, **options)
    postprocess.run(values, folder)
    return folder / "reports" / "report.html"


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


def test_without_a_leak_or_caution_there_is_no_warning(tmp_path):
    text = report_of(tmp_path, sounds=0).read_text()
    assert "leaks" not in text
    assert "are believed" not in text


def test_cautions_are_said_at_the_top(tmp_path):
    cautions = [f"caution <{n}>" for n in range(12)]
    text = report_of(tmp_path, cautions=cautions, sounds=0).read_text()
    assert text.index("Before these scores are believed") < text.index('id="results"')
    assert "caution &lt;9&gt;" in text
    assert "caution &lt;10&gt;" not in text
    assert "and 2 more" in text


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
