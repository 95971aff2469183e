import base64
import io
import json
import re

import pytest
import soundfile

from htmlpages import Page, measured
from made_data import made, older
from rehear import atomic
from rehear.manifest import Clip, Manifest
from rehear.report import data_page

TASKS = ("classification", "tagging", "regression")


def page_of(folder, **options):
    described, manifest = made(folder, **options)
    return data_page.render(described, manifest, folder)


def heard(text):
    """Return the length in seconds of every sound on a page."""
    found = re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', text)
    sounds = [soundfile.read(io.BytesIO(base64.b64decode(one))) for one in found]
    return [len(waveform) / rate for waveform, rate in sounds]


@pytest.mark.parametrize("task", TASKS)
def test_nothing_is_loaded_and_every_tag_is_closed(task, tmp_path):
    text = page_of(tmp_path, task=task, leaks=3)
    page = Page(text)
    assert page.open == []
    assert all(value.startswith(("data:", "#")) for value in page.loaded)
    assert len(set(page.ids)) == len(page.ids)
    assert not {"script", "b", "i", "pond", "others"} & set(page.tags)
    assert not re.search(r"url\((?!#)", text)


def test_page_tells_what_the_card_tells(tmp_path):
    text = page_of(tmp_path, leaks=12)
    for said in (
        "Sounds of a &lt;pond&gt;",
        "CC BY 4.0",
        "The split leaks: scores may be too good.",
        "and 2 more",
        "protocol that &lt;others&gt; report",
        "Before a score is believed:",
        "duration alone tells",
        "x3.wav: the file is empty",
        "Łódź (20)",
        "&lt;b&gt;bird&lt;/b&gt;",
    ):
        assert said in text
    ids = set(Page(text).ids)
    assert {"about", "labels", "numbers", "attributes", "skipped", "listen"} <= ids


def test_long_clips_are_cut(tmp_path):
    described, manifest = made(tmp_path, seconds=7.0)
    seconds = heard(data_page.render(described, manifest, tmp_path))
    assert len(seconds) == 9
    assert seconds == pytest.approx([5.0] * 9, abs=0.1)


def test_every_label_has_clips_of_several_groups(tmp_path):
    _, manifest = made(tmp_path)
    chosen = list(data_page.choice(manifest))
    assert [told for _, told in chosen] == sorted(
        label for label in {c.labels[0] for c in manifest} for _ in range(3)
    )
    for label in {told for _, told in chosen}:
        assert len({clip.group for clip, told in chosen if told == label}) == 3
    assert chosen == list(data_page.choice(Manifest(manifest.clips)))


def test_many_labels_have_one_clip_each_and_not_all_of_them():
    rows = [
        Clip(str(i), f"{i}.wav", labels=(f"l{i % 100:02}",), split="train")
        for i in range(500)
    ]
    chosen = list(data_page.choice(Manifest(tuple(rows))))
    assert len(chosen) == 40
    assert len({told for _, told in chosen}) == 40


def test_a_clip_with_several_tags_is_played_once(tmp_path):
    _, manifest = made(tmp_path, task="tagging")
    clips = [clip.clip for clip, _ in data_page.choice(manifest)]
    assert len(set(clips)) == len(clips) > 3


def test_targets_are_heard_from_the_lowest_to_the_highest(tmp_path):
    _, manifest = made(tmp_path, task="regression")
    values = [clip.targets[0] for clip, _ in data_page.choice(manifest)]
    everything = [clip.targets[0] for clip in manifest]
    assert values == sorted(values)
    assert (values[0], values[-1]) == (min(everything), max(everything))
    assert len(values) == 12


def test_recordings_that_are_gone_leave_a_gap(tmp_path, caplog):
    described, manifest = made(tmp_path)
    (tmp_path / "data/raw/noise.flac").unlink()
    text = data_page.render(described, manifest, tmp_path)
    assert text.count("recording not at hand") == 9
    assert "noise.flac" in caplog.text


def test_what_is_no_sound_is_not_played(tmp_path):
    described, _ = made(tmp_path)
    images = Manifest(tuple(Clip(str(i), f"{i}.png", labels=("x",)) for i in range(5)))
    page = Page(data_page.render(described, images, tmp_path))
    assert "listen" not in page.ids
    assert "audio" not in page.tags


def test_a_card_of_an_older_version_is_shown_with_a_hint(tmp_path):
    described, manifest = made(tmp_path, count=15)
    old = json.loads(json.dumps(older(described)))
    text = data_page.render(old, manifest, tmp_path)
    assert "made by an older version" in text
    assert not {"numbers", "attributes"} & set(Page(text).ids)
    assert "older version" not in data_page.render(described, manifest, tmp_path)


@pytest.mark.browser
@pytest.mark.parametrize("task", TASKS)
def test_a_browser_shows_every_figure_and_plays_every_sound(task, tmp_path):
    report = tmp_path / "card.html"
    atomic.write_text(report, page_of(tmp_path, task=task, leaks=2))
    for width in (1200, 390):
        found = measured(report, tmp_path, width=width)
        assert len(found["charts"]) == 3
        assert all(w > 150 and h > 30 for w, h in found["charts"]), found["charts"]
        assert found["texts"] == []
        assert len(found["images"]) == len(found["audios"]) >= 9
        assert all(abs(seconds - 1.5) < 0.15 for seconds in found["audios"])
        assert all(r.startswith("data:") for r in found["requests"])
        assert found["wide"] <= 0
        assert (found["problems"], found["console"]) == ([], [])
