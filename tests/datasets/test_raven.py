import json
import logging

import numpy as np
import pandas as pd
import pytest

import field
from rehear import audio, manifest
from rehear.catalogue import Catalogue
from rehear.errors import DataError, ParamsError
from rehear.params import Fetch, Params, Part
from rehear.stages import fetch as stage

PARTS = Catalogue("data set", {"raven": "rehear.datasets.raven:Raven"})
TIMES = ("Begin Time (s)", "End Time (s)")
PLAIN = ("Selection", *TIMES, "Annotation")
FULL = (
    *("Selection", "View", "Channel", *TIMES, "Low Freq (Hz)", "High Freq (Hz)"),
    "Annotation",
)
SEVERAL = ("Selection", *TIMES, "Begin File", "File Offset (s)", "Species")


@pytest.fixture
def fetch(tmp_path):
    def run(*, task="classification", **arguments):
        part = PARTS.build({"name": "raven", **arguments})
        return part.fetch(
            tmp_path / "none", task=task, source=tmp_path, downloads=tmp_path / "none"
        )

    return run


@pytest.fixture
def day(tmp_path):
    """One recording of 10 s, and a way to write its table."""
    field.recording(tmp_path / "day.wav", 10)

    def write(header, *rows):
        field.table(tmp_path / "day.Table.1.selections.txt", header, *rows)

    return write


def spans(found):
    return [(c.file, c.start, c.end, *c.labels) for c in found]


def test_selections_are_clips(fetch, day):
    day(
        FULL,
        (1, "Spectrogram 1", 1, 2.5, 3.25, 800, 2400, "robin"),
        (2, "Spectrogram 1", 1, 0.5, 1.0, 100, 200, "wren"),
    )
    found = fetch()
    assert spans(found) == [
        ("day.wav", 0.5, 1.0, "wren"),
        ("day.wav", 2.5, 3.25, "robin"),
    ]
    assert [clip.clip for clip in found] == ["day.wav[0.5-1.0]", "day.wav[2.5-3.25]"]
    assert found.attributes == ("channel", "high_freq", "low_freq")
    assert found.clips[1].attributes == ("1", "2400", "800")
    assert {(clip.group, clip.split) for clip in found} == {("", "")}


def test_table_of_real_calls_is_what_pandas_reads(fetch, tmp_path, recordings):
    calls = sorted((recordings / "orca_codecs" / "audio" / "flac").iterdir())[:5]
    where = field.joined(tmp_path / "reef" / "hydrophone.flac", calls)
    path = tmp_path / "reef" / "hydrophone.Table.1.selections.txt"
    rows = []
    for number, (call, (start, end)) in enumerate(zip(calls, where, strict=True)):
        for view in ("Waveform 1", "Spectrogram 1"):
            bounds = (start, end, 100.5 + number, 9000.25)
            rows.append((number + 1, view, 1, *bounds, call.stem))
    field.table(path, FULL, *rows)

    frame = pd.read_csv(path, sep="\t", dtype=str)
    frame = frame[frame["View"].str.startswith("Spectrogram")]
    found = fetch()
    assert [clip.labels[0] for clip in found] == frame["Annotation"].tolist()
    for column, values in (
        ("Begin Time (s)", [clip.start for clip in found]),
        ("End Time (s)", [clip.end for clip in found]),
    ):
        assert values == pytest.approx(frame[column].astype(float).tolist(), abs=1e-6)
    columns = {"channel": "Channel", "high_freq": "High Freq (Hz)"}
    columns["low_freq"] = "Low Freq (Hz)"
    for index, name in enumerate(found.attributes):
        assert [c.attributes[index] for c in found] == frame[columns[name]].tolist()
    for clip, call in zip(found, calls, strict=True):
        heard, _ = audio.read(tmp_path / clip.file, clip.start, clip.end)
        np.testing.assert_array_equal(heard, audio.read(call)[0])


def test_two_views_are_one_event_with_the_frequencies_of_the_spectrogram(fetch, day):
    day(
        FULL,
        (1, "Waveform 1", 1, 1, 2, 0, 4000, "a"),
        (1, "Spectrogram 1", 1, 1, 2, 700, 900, "a"),
        (2, "Spectrogram 1", 1, 3, 4, 300, 500, "b"),
        (2, "Waveform 1", 1, 3, 4, 0, 4000, "b"),
    )
    found = fetch()
    assert len(found) == 2
    assert [clip.attributes for clip in found] == [
        ("1", "900", "700"),
        ("1", "500", "300"),
    ]


def test_a_selection_on_two_channels_is_one_event(fetch, day):
    views = [("Waveform 1", 1), ("Spectrogram 1", 1), ("Waveform 2", 2)]
    views.append(("Spectrogram 2", 2))
    day(FULL, *((7, *view, 1, 2, 700, 900, "a") for view in views))
    (clip,) = fetch()
    assert clip.attributes == ("1+2", "900", "700")


def test_views_that_disagree_are_named(fetch, day):
    rows = [
        (3, view, 1, 1, 2, 0, 9, view[0]) for view in ("Waveform 1", "Spectrogram 1")
    ]
    day(FULL, *rows)
    with pytest.raises(DataError, match=r"row 3: selection 3 is 'S'.*'W'.*row 2"):
        fetch()


def test_selection_numbers_may_begin_again(fetch, day):
    day(PLAIN, (1, 1, 2, "a"), (1, 3, 4, "b"))
    assert len(fetch()) == 2


def test_table_of_several_files_counts_from_the_file_it_names(fetch, tmp_path):
    for name in ("n1.wav", "n2.wav", "n3.wav"):
        field.recording(tmp_path / "night" / name, 10)
    field.table(
        tmp_path / "night.selections.txt",
        SEVERAL,
        (1, 2.0, 3.5, "n1.wav", 2.0, "owl"),
        (2, 14.0, 15.0, "n2.wav", 4.0, "owl"),
        (3, 20.25, 21.0, "n3.wav", 0.25, "fox"),
    )
    assert spans(fetch()) == [
        ("night/n1.wav", 2.0, 3.5, "owl"),
        ("night/n2.wav", 4.0, 5.0, "owl"),
        ("night/n3.wav", 0.25, 1.0, "fox"),
    ]


def test_selection_into_the_next_file_ends_with_its_own(fetch, tmp_path, caplog):
    for name in ("n1.wav", "n2.wav"):
        field.recording(tmp_path / name, 10)
    header = (*SEVERAL, "End File")
    rows = [(1, 8.0, 16.0, "n1.wav", 8.0, "owl", "n2.wav")]
    field.table(tmp_path / "night.txt", header, *rows)
    with caplog.at_level(logging.INFO):
        assert spans(fetch()) == [("n1.wav", 8.0, 10.0, "owl")]
    assert "1 events end with their recording" in caplog.text


def test_several_files_without_offset_are_refused(fetch, tmp_path):
    for name in ("n1.wav", "n2.wav"):
        field.recording(tmp_path / name, 10)
    header = ("Selection", *TIMES, "Begin File", "Species")
    rows = [(1, 2, 3, "n1.wav", "owl"), (2, 14, 15, "n2.wav", "owl")]
    field.table(tmp_path / "all.txt", header, *rows)
    with pytest.raises(DataError, match=r"about 2 recordings, but no column File Off"):
        fetch()
    field.table(tmp_path / "all.txt", header, rows[0])
    assert spans(fetch()) == [("n1.wav", 2.0, 3.0, "owl")]


def test_tables_of_birdnet(fetch, tmp_path):
    field.recording(tmp_path / "site" / "20210510.wav", 8)
    header = (
        *("Selection", "View", "Channel", *TIMES, "Low Freq (Hz)", "High Freq (Hz)"),
        *("Common Name", "Species Code", "Confidence", "Begin Path", "File Offset (s)"),
    )
    row = (1, "Spectrogram 1", 1, 6, 9, 0, 15000, "Purple Finch", "purfin", 0.2)
    path = "C:\\recordings\\site\\20210510.wav"
    table = tmp_path / "out" / "20210510.BirdNET.selection.table.txt"
    field.table(table, header, (*row, path, 6))
    with pytest.raises(DataError, match=r"no column Annotation.*label: Common Name"):
        fetch()
    # BirdNET fills its last window up to 3 s.
    assert spans(fetch(label="Common Name")) == [
        ("site/20210510.wav", 6.0, 8.0, "Purple Finch")
    ]


@pytest.mark.parametrize(
    ("header", "arguments", "message"),
    [
        (("Call",), {}, r"no column Annotation and Species\..*dataset\.label: Call"),
        (("Species", "Annotation"), {}, r"two columns Annotation and Species\."),
        (("Call",), {"label": "Cal"}, r"no column 'Cal'\. Did you mean 'Call'\?"),
        ((), {}, r"dataset\.label: …"),
        (("Call", "Call"), {"label": "Call"}, "column 'Call' stands there twice"),
    ],
)
def test_column_of_labels_is_never_guessed(fetch, day, header, arguments, message):
    day((*TIMES, *header), (1, 2, *("x" for _ in header)))
    with pytest.raises(DataError, match=message):
        fetch(**arguments)


def test_column_of_labels_may_be_lower_case(fetch, day):
    day((*TIMES, "species"), (1, 2, "a"))
    assert len(fetch()) == 1


def test_spreadsheets_may_have_changed_the_table(fetch, tmp_path):
    field.recording(tmp_path / "day.wav", 10)
    header = '"Begin Time (s)"\t"End Time (s)"\tAnnotation\tNotes'
    lines = [header, '"1,5"\t2,25\t"call ""A"""\t', "3\t4\tb", "", ""]
    text = "\ufeff" + "\r\n".join(lines)
    (tmp_path / "day.txt").write_bytes(text.encode())
    found = spans(fetch())
    assert found == [("day.wav", 1.5, 2.25, 'call "A"'), ("day.wav", 3.0, 4.0, "b")]
    frame = pd.read_csv(tmp_path / "day.txt", sep="\t", decimal=",")
    assert [tuple(row) for row in frame.iloc[:, :3].to_numpy()] == [
        row[1:] for row in found
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("x", 2, "a"), r"row 2: 'x' in column 'Begin Time \(s\)' is not a finite"),
        (("1,000,5", 2, "a"), "not a finite number"),
        ((-1, 2, "a"), "row 2: from -1 to 2 s is no stretch"),
        ((3, 2, "a"), "row 2: from 3 to 2 s is no stretch"),
        ((11, 12, "a"), r"row 2: 'a' is from 11 to 12 s, but .* has 10\.000 s"),
        ((5, 13.5, "a"), r"row 2: 'a' is from 5 to 13\.5 s, but"),
        ((2, 2, "a"), "row 2: 'a' is a moment, at 2 s"),
        ((1, 2, ""), r"row 2: empty label; .*ignore: \[''\]"),
        ((1, 2, "a;b"), "row 2: 'a;b' holds a ';'"),
        ((1, 2, "a", "b"), "row 2: 4 cells, but 3 columns"),
    ],
)
def test_rows_that_cannot_be_used_are_named(fetch, day, row, message):
    day((*TIMES, "Annotation"), row)
    with pytest.raises(DataError, match=message):
        fetch()


def test_other_encodings_are_named(fetch, tmp_path):
    field.recording(tmp_path / "day.wav", 10)
    text = "Begin Time (s)\tEnd Time (s)\tAnnotation\n1\t2\tKäuzchen\n"
    (tmp_path / "day.txt").write_bytes(text.encode("cp1252"))
    with pytest.raises(DataError, match=r"day\.txt: not UTF-8 at byte"):
        fetch()


def test_ignored_labels_need_no_label_and_no_place(fetch, day):
    day(PLAIN, (1, 1, 2, ""), (2, 3, 4, "a"), (3, 50, 60, "?"))
    found = fetch(cut={"name": "clips", "ignore": ["", "?"]})
    assert [clip.labels for clip in found] == [("a",)]


def test_tables_and_recordings_in_parallel_folders(fetch, tmp_path):
    for site in ("creek", "ridge"):
        field.recording(tmp_path / "audio" / site / "0600.wav", 5)
        field.table(tmp_path / "labels" / site / "0600.txt", PLAIN, (1, 1, 2, site))
    assert spans(fetch()) == [
        ("audio/creek/0600.wav", 1.0, 2.0, "creek"),
        ("audio/ridge/0600.wav", 1.0, 2.0, "ridge"),
    ]


def test_begin_path_tells_recordings_of_one_name_apart(fetch, tmp_path):
    for site in ("creek", "ridge"):
        field.recording(tmp_path / site / "0600.wav", 5)
    header = (*TIMES, "Begin Path", "File Offset (s)", "Species")
    rows = [
        (1, 2, f"D:\\2024\\{site}\\0600.WAV", 1, site) for site in ("ridge", "creek")
    ]
    field.table(tmp_path / "all.txt", header, *rows)
    assert [(c.file, c.labels[0]) for c in fetch()] == [
        ("creek/0600.wav", "creek"),
        ("ridge/0600.wav", "ridge"),
    ]


def test_unclear_recording_is_named(fetch, tmp_path):
    for site in ("creek", "ridge"):
        field.recording(tmp_path / site / "0600.wav", 5)
    field.table(tmp_path / "0600.txt", PLAIN, (1, 1, 2, "a"))
    with pytest.raises(DataError, match=r"'0600' may be any of creek/0600.wav, ridge"):
        fetch()


def test_recording_converted_since_is_found(fetch, tmp_path):
    field.recording(tmp_path / "n1.flac", 5)
    header = (*TIMES, "Begin File", "Annotation")
    field.table(tmp_path / "n1.txt", header, (1, 2, "N1.wav", "a"))
    assert fetch().clips[0].file == "n1.flac"


def test_missing_recordings_are_named(fetch, tmp_path):
    field.recording(tmp_path / "night-1.wav", 5)
    header = (*TIMES, "Begin File", "Annotation")
    field.table(tmp_path / "n.txt", header, (1, 2, "nigth-1.wav", "a"))
    with pytest.raises(
        DataError, match=r"row 2: no recording 'nigth-1\.wav'.*mean 'night-1"
    ):
        fetch()
    field.table(tmp_path / "n.txt", PLAIN, (1, 1, 2, "a"))
    with pytest.raises(DataError, match=r"no recording 'n' below .* name of the table"):
        fetch()


def test_dots_in_the_name_of_a_recording(fetch, tmp_path):
    field.recording(tmp_path / "S1.2020.wav", 5)
    field.recording(tmp_path / "S1.wav", 5)
    field.table(tmp_path / "S1.2020.Table.1.selections.txt", PLAIN, (1, 1, 2, "a"))
    assert fetch().clips[0].file == "S1.2020.wav"


def test_two_tables_of_one_recording(fetch, tmp_path):
    field.recording(tmp_path / "a.wav", 5)
    for number, label in enumerate("xy", start=1):
        path = tmp_path / f"a.Table.{number}.selections.txt"
        field.table(path, PLAIN, (1, number, number + 1, label))
    assert [clip.labels for clip in fetch()] == [("x",), ("y",)]


def test_other_texts_are_passed_over(fetch, day, tmp_path, caplog):
    day(PLAIN, (1, 1, 2, "a"))
    (tmp_path / "README.txt").write_text("Recorded in May\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / ".hidden.txt").write_bytes(b"\xff")
    with caplog.at_level(logging.INFO):
        assert len(fetch()) == 1
    assert "2 files are no selection tables: README.txt, empty.txt" in caplog.text


def test_nothing_to_read(fetch, tmp_path):
    with pytest.raises(DataError, match="no recordings below it"):
        fetch()
    field.recording(tmp_path / "a.wav", 1)
    with pytest.raises(DataError, match="no selection tables with the columns"):
        fetch()
    field.table(tmp_path / "a.txt", (*TIMES, "Note"))
    with pytest.raises(DataError, match="the tables leave no clips"):
        fetch()
    with pytest.raises(DataError, match=r"does not exist.*fetch\.source"):
        PARTS.build("raven").fetch(
            tmp_path, task="tagging", source=tmp_path / "no", downloads=tmp_path
        )


def test_table_without_rows_says_that_nothing_was_heard(fetch, tmp_path):
    field.recording(tmp_path / "a.wav", 6)
    field.recording(tmp_path / "b.wav", 6)
    field.table(tmp_path / "a.txt", TIMES)
    found = fetch(cut={"name": "windows", "seconds": 3.0})
    assert spans(found) == [
        ("a.wav", 0.0, 3.0, "background"),
        ("a.wav", 3.0, 6.0, "background"),
    ]


def test_groups_and_splits_by_folders(fetch, tmp_path):
    for folder in ("train/creek", "Validation/ridge", "test/marsh"):
        field.recording(tmp_path / folder / "a.wav", 5)
        field.table(tmp_path / folder / "a.txt", PLAIN, (1, 1, 2, "x"))
    assert {
        clip.file: (clip.split, clip.group) for clip in fetch(group="/([^/]+)/")
    } == {
        "Validation/ridge/a.wav": ("dev", "ridge"),
        "test/marsh/a.wav": ("test", "marsh"),
        "train/creek/a.wav": ("train", "creek"),
    }
    with pytest.raises(DataError, match=r"a\.wav: dataset\.group '\^\(x\)' finds no"):
        fetch(group="^(x)")


def test_tables_may_be_called_otherwise(fetch, tmp_path):
    field.recording(tmp_path / "a.wav", 5)
    field.table(tmp_path / "a_calls.tsv", PLAIN, (1, 1, 2, "x"))
    assert len(fetch(tables=r"(.+)_calls[.]tsv")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group": "("}, r"dataset\.group: '\(' is no regular expression"),
        ({"tables": "a"}, r"dataset\.tables: 'a' has no parentheses.*the recording"),
        ({"cut": "window"}, "unknown cut 'window'. Did you mean 'windows'"),
        ({"cut": {"name": "windows", "size": 3}}, "has no argument 'size'"),
        ({"cut": 3}, r"dataset\.cut: expected clips or windows.*found 3"),
        ({"cut": {"seconds": 3}}, r"dataset\.cut: expected clips or windows"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ParamsError, match=message):
        PARTS.build({"name": "raven", **arguments})


@pytest.fixture
def study(tmp_path, recordings, monkeypatch):
    """A study of 6 recordings, each with 3 real calls that no other one has."""
    monkeypatch.setattr(stage, "DATASETS", PARTS)
    calls = sorted((recordings / "orca_codecs" / "audio" / "flac").iterdir())
    for number in range(6):
        folder = tmp_path / "data" / "own" / f"buoy-{number}"
        own = calls[3 * number : 3 * number + 3]
        where = field.joined(folder / "a.flac", own, seed=number)
        rows = [(i, *span, "abc"[i]) for i, span in enumerate(where)]
        field.table(folder / "a.selections.txt", PLAIN, *rows)
    return tmp_path


def run(study, task, **fields):
    part = {"name": "raven", "group": "^([^/]+)/", **fields.pop("part", {})}
    params = Params(task=Part(name=task), dataset=Part(**part), fetch=Fetch(**fields))
    stage.run(params, study, processes=1)
    return manifest.read(study / "data" / "manifest.csv")


def test_stage_keeps_recordings_whole(study):
    cut = {"name": "windows", "seconds": 0.5, "hop": 0.25}
    found = run(study, "tagging", part={"cut": cut})
    assert len(found) > 100
    assert {clip.labels for clip in found} == {(), ("a",), ("b",), ("c",)}
    for clip in found:
        assert clip.duration == pytest.approx(0.5, abs=1e-4)
        assert clip.file == f"data/own/{clip.group}/a.flac"
    splits = {
        clip.group: {c.split for c in found if c.group == clip.group} for clip in found
    }
    assert all(len(split) == 1 for split in splits.values())
    assert set.union(*splits.values()) == {"train", "dev", "test"}


def test_broken_recordings_are_told_by_the_stage(study):
    broken = study / "data" / "own" / "buoy-3" / "a.flac"
    broken.write_bytes(broken.read_bytes()[:20])
    with pytest.raises(
        DataError, match=r"1 of 16 clips cannot be used.*buoy-3/a\.flac"
    ):
        run(study, "classification")
    assert len(run(study, "classification", on_error="skip")) == 15
    card = json.loads((study / "data" / "card.json").read_text())
    assert [entry["file"] for entry in card["skipped"]] == ["buoy-3/a.flac"]
