import logging

import numpy as np
import pytest

import field
from rehear import audio, manifest
from rehear.catalogue import Catalogue
from rehear.errors import DataError
from rehear.params import Fetch, Params, Part
from rehear.stages import fetch as stage

PARTS = Catalogue("data set", {"audacity": "rehear.datasets.audacity:Audacity"})
# As the manual of Audacity prints it.
MANUAL = """\
1.000000\t1.000000\tThis point was clicked at 6928.456055 Hz
\\\t6928.456055\t6928.456055
2.000000\t2.500000\tLow frequency undefined, High frequency 6334.588867 Hz
\\\t-1.000000\t6334.588867
3.000000\t3.500000\tLow frequency 8908.015625, High frequency undefined
\\\t8908.015625\t-1.000000
4.000000\t4.500000\tLow frequency 1484.669312 Hz, High frequency 2969.338523 Hz
\\\t1484.669312\t2969.338523
"""


@pytest.fixture
def fetch(tmp_path):
    def run(*, task="classification", **arguments):
        part = PARTS.build({"name": "audacity", **arguments})
        return part.fetch(
            tmp_path / "none", task=task, source=tmp_path, downloads=tmp_path / "none"
        )

    return run


@pytest.fixture
def day(tmp_path):
    """One recording of 10 s, and a way to write its labels."""
    field.recording(tmp_path / "day.wav", 10)
    return lambda text: (tmp_path / "day.txt").write_text(text)


def spans(found):
    return [(c.file, c.start, c.end, *c.labels) for c in found]


def test_example_of_the_manual(fetch, day):
    day(MANUAL)
    found = fetch(cut={"name": "clips", "margin": 0.25})
    assert [(clip.start, clip.end) for clip in found] == [
        *((0.75, 1.25), (1.75, 2.75), (2.75, 3.75), (3.75, 4.75))
    ]
    assert found.clips[0].labels == ("This point was clicked at 6928.456055 Hz",)
    assert found.attributes == ("high_freq", "low_freq")
    assert [clip.attributes for clip in found] == [
        ("6928.456055", "6928.456055"),
        ("6334.588867", ""),
        ("", "8908.015625"),
        ("2969.338523", "1484.669312"),
    ]


def test_labels_without_frequencies_have_no_attributes(fetch, day):
    day("1.5\t2.5\trobin\n3\t4\twren\n")
    found = fetch()
    assert spans(found) == [
        ("day.wav", 1.5, 2.5, "robin"),
        ("day.wav", 3.0, 4.0, "wren"),
    ]
    assert found.attributes == ()


def test_labels_of_real_calls_are_where_they_were_put(fetch, tmp_path, recordings):
    calls = sorted((recordings / "orca_codecs" / "audio" / "flac").iterdir())[:4]
    where = field.joined(tmp_path / "hydrophone.flac", calls)
    lines = [
        f"{start:.6f}\t{end:.6f}\t{call.stem}\n"
        for call, (start, end) in zip(calls, where, strict=True)
    ]
    (tmp_path / "hydrophone.txt").write_text("".join(lines))
    found = fetch()
    assert [clip.labels[0] for clip in found] == [call.stem for call in calls]
    for clip, call in zip(found, calls, strict=True):
        heard, _ = audio.read(tmp_path / clip.file, clip.start, clip.end)
        np.testing.assert_array_equal(heard, audio.read(call)[0])


def test_decimal_commas_byte_order_marks_and_windows(fetch, tmp_path):
    field.recording(tmp_path / "day.wav", 10)
    text = "\ufeff1,250000\t2,5\tZaunkönig\r\n\r\n3\t4\tx\r\n"
    (tmp_path / "day.txt").write_bytes(text.encode())
    assert spans(fetch()) == [
        ("day.wav", 1.25, 2.5, "Zaunkönig"),
        ("day.wav", 3.0, 4.0, "x"),
    ]


def test_moments_are_in_windows(fetch, day):
    day("1\t1\ta\n4.5\t4.5\ta\n9.5\t9.5\tend\n")
    cut = {"name": "windows", "seconds": 2.0, "ignore": "end"}
    found = fetch(cut=cut)
    assert [(clip.start, *clip.labels) for clip in found] == [
        (0.0, "a"),
        (2.0, "background"),
        (4.0, "a"),
        (6.0, "background"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello\n", r"day\.txt row 1: 'hello' is no label; expected start, end"),
        ("1 2 a\n", "row 1: '1 2 a' is no label"),
        ("1\t2\ta\n\nx\ty\tb\n", "row 3: 'x y b' is no label"),
        ("1\n", "row 1: '1' is no label"),
        ("1\tnan\ta\n", "row 1: 'nan' in column 'end' is not a finite number"),
        ("-1\t1\ta\n", "row 1: from -1 to 1 s is no stretch"),
        ("2\t1\ta\n", "row 1: from 2 to 1 s is no stretch"),
        ("12\t13\ta\n", r"row 1: 'a' is from 12 to 13 s, but .* has 10\.000 s"),
        ("1\t2\n", "row 1: empty label"),
        ("1\t2\t\n", "row 1: empty label"),
        ("1\t1\ta\n", "row 1: 'a' is a moment, at 1 s"),
        ("\\\t1\t2\n", "row 1: a range of frequencies, but no label above it"),
        (
            "1\t2\ta\n\\\t1\t2\n\\\t1\t2\n",
            "row 3: a range of frequencies, but no label",
        ),
        ("1\t2\ta\n\\\t1\n", "row 2: expected a backslash and two frequencies"),
        ("1\t2\ta\n\\\tlow\t2\n", "row 2: 'low' in column 'low_freq' is not a finite"),
    ],
)
def test_lines_that_cannot_be_used_are_named(fetch, day, text, message):
    day(text)
    with pytest.raises(DataError, match=message):
        fetch()


def test_folders_of_their_own(fetch, tmp_path):
    for site in ("creek", "ridge"):
        field.recording(tmp_path / site / "wav" / "0600.flac", 5)
        labels = tmp_path / site / "labels" / "0600.txt"
        labels.parent.mkdir()
        labels.write_text(f"1\t2\t{site}\n")
    assert spans(fetch(group="^([^/]+)/")) == [
        ("creek/wav/0600.flac", 1.0, 2.0, "creek"),
        ("ridge/wav/0600.flac", 1.0, 2.0, "ridge"),
    ]


def test_label_track_without_recording_is_named(fetch, day, tmp_path):
    day("1\t2\ta\n")
    (tmp_path / "days.txt").write_text("1\t2\ta\n")
    with pytest.raises(DataError, match=r"days\.txt: no recording 'days'.*mean 'day"):
        fetch()


def test_other_texts_and_recordings_without_labels(fetch, day, tmp_path, caplog):
    day("1\t2\ta\n")
    (tmp_path / "notes.txt").write_text("Rain at noon\n")
    field.recording(tmp_path / "night.wav", 5)
    with caplog.at_level(logging.INFO):
        assert len(fetch()) == 1
    assert "1 files are no label tracks: notes.txt" in caplog.text
    assert "1 of 2 recordings have no table and are left out: night.wav" in caplog.text


def test_empty_label_track_and_no_label_track(fetch, day, tmp_path):
    day("1\t2\ta\n")
    field.recording(tmp_path / "night.wav", 6)
    field.recording(tmp_path / "noon.wav", 6)
    (tmp_path / "night.txt").write_text("")
    heard = fetch(cut="windows")
    assert {clip.file for clip in heard} == {"day.wav", "night.wav"}
    heard = fetch(cut={"name": "windows", "unannotated": True})
    assert {clip.file for clip in heard} == {"day.wav", "night.wav", "noon.wav"}
    assert {x for c in heard if c.file != "day.wav" for x in c.labels} == {"background"}


def test_no_label_tracks(fetch, tmp_path):
    field.recording(tmp_path / "day.wav", 1)
    with pytest.raises(DataError, match=r"no label tracks; expected <recording>\.txt"):
        fetch()


def test_label_tracks_may_be_called_otherwise(fetch, tmp_path):
    field.recording(tmp_path / "a.wav", 5)
    (tmp_path / "a_labels.txt").write_text("1\t2\tx\n")
    (tmp_path / "a.txt").write_text("Rain at noon\n")
    assert len(fetch(tables="(.+)_labels[.]txt")) == 1


def test_stage_writes_the_manifest(tmp_path, recordings, monkeypatch):
    monkeypatch.setattr(stage, "DATASETS", PARTS)
    calls = sorted((recordings / "orca_codecs" / "audio" / "flac").iterdir())
    for number in range(3):
        folder = tmp_path / "data" / "own" / ("train", "dev", "test")[number]
        own = calls[2 * number : 2 * number + 2]
        where = field.joined(folder / f"{number}.flac", own, seed=number)
        lines = (f"{s}\t{e}\t{x}\n" for (s, e), x in zip(where, "ab", strict=True))
        (folder / f"{number}.txt").write_text("".join(lines))
    cut = {"name": "clips", "seconds": 1.0}
    params = Params(dataset=Part(name="audacity", cut=cut), fetch=Fetch())
    stage.run(params, tmp_path, processes=1)
    found = manifest.read(tmp_path / "data" / "manifest.csv")
    assert [(clip.split, clip.labels, clip.duration) for clip in found] == [
        (split, (label,), 1.0) for split in ("dev", "test", "train") for label in "ab"
    ]
