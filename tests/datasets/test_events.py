import logging
import re

import pytest

import field
from rehear.datasets import cuts, events
from rehear.datasets.events import Event
from rehear.datasets.matching import Recordings
from rehear.errors import DataError

NO_GROUP = re.compile("")


@pytest.fixture
def manifest(tmp_path):
    """Return the manifest of two recordings of 5 s."""
    for name in ("a.wav", "b.wav"):
        field.recording(tmp_path / name, 5)

    def make(heard, *, task="classification", group=NO_GROUP, **cut):
        part = cuts.build({"name": "clips", **cut})
        return events.manifest(
            heard, Recordings(tmp_path), part, task=task, group=group
        )

    return make


@pytest.mark.parametrize(
    ("event", "start", "end", "share", "expected"),
    [
        ((1, 3), 0, 2, 0.5, True),
        ((2, 4.1), 0, 3, 0.5, False),
        ((1, 3), 2, 9, 0.5, True),
        ((0, 9), 2, 4, 1.0, True),
        ((0, 9), 8, 10, 0.5, True),
        ((0, 9), 8.1, 10.1, 0.5, False),
        ((1, 2), 2, 3, 0.0, False),
        ((1, 2.01), 2, 3, 0.0, True),
        ((2, 2), 2, 3, 1.0, True),
        ((2, 2), 1, 2, 0.0, False),
        # A third of 0.3 is not exactly 0.1.
        ((0.1, 0.4), 0.3, 3.3, 1 / 3, True),
    ],
)
def test_enough_of_an_event(event, start, end, share, expected):
    assert Event("row", *event, "x").is_in(start, end, share) is expected


def test_order_and_attributes_do_not_depend_on_tables(manifest):
    one = Event("1", 1, 2, "x", {"low": "5"})
    other = Event("2", 0, 1, "y", {"high": "9"})
    heard = {"b.wav": [one, other], "a.wav": [one]}
    found = manifest(heard)
    assert found == manifest({"a.wav": [one], "b.wav": [other, one]})
    assert found.attributes == ("high", "low")
    assert [(clip.clip, clip.attributes) for clip in found] == [
        ("a.wav[1.0-2.0]", ("", "5")),
        ("b.wav[0.0-1.0]", ("9", "")),
        ("b.wav[1.0-2.0]", ("", "5")),
    ]


def test_end_after_the_recording(manifest, caplog):
    with caplog.at_level(logging.INFO):
        found = manifest({"a.wav": [Event("row 1", 4, 8, "x")]})
    assert found.clips[0].end == 5.0
    assert "1 events end with their recording, not after it" in caplog.text
    with pytest.raises(
        DataError, match=r"row 1: 'x' is from 4 to 8\.1 s, but .* 5\.000"
    ):
        manifest({"a.wav": [Event("row 1", 4, 8.1, "x")]})
    with pytest.raises(DataError, match="row 1: 'x' is from 5 to 5 s"):
        manifest({"a.wav": [Event("row 1", 5, 5, "x")]})


def test_ignored_events_may_lie_anywhere(manifest):
    heard = {"a.wav": [Event("1", 7, 9, "?"), Event("2", 1, 2, "x")]}
    assert len(manifest(heard, ignore=["?"])) == 1


def test_recording_that_cannot_be_read_is_one_clip(manifest, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    heard = {
        "a.wav": [Event("1", 1, 2, "x")],
        "b.wav": [Event("2", 1, 2, "x", {"k": "v"})],
    }
    found = manifest(heard)
    assert [(clip.clip, clip.labels, clip.attributes) for clip in found] == [
        ("a.wav", (), ("",)),
        ("b.wav[1.0-2.0]", ("x",), ("v",)),
    ]


def test_no_clips_at_all(manifest):
    with pytest.raises(DataError, match="the tables leave no clips"):
        manifest({"a.wav": []})
    with pytest.raises(DataError, match="the tables leave no clips"):
        manifest({"a.wav": [Event("1", 1, 2, "x")]}, ignore="x")


def test_group_is_found_in_the_path(manifest):
    heard = {"a.wav": [Event("1", 1, 2, "x")]}
    assert manifest(heard, group=re.compile("^(.)")).clips[0].group == "a"
    with pytest.raises(
        DataError, match=r"a\.wav: dataset\.group '\(q\)' finds no group"
    ):
        manifest(heard, group=re.compile("(q)"))
