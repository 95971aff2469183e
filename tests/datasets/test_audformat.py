import json
import logging
import sys
import zipfile
from pathlib import Path

import pytest

import databases
from rehear import manifest
from rehear.catalogue import Catalogue
from rehear.errors import DataError, ParamsError
from rehear.params import Params, Part
from rehear.stages import fetch as stage

audformat = databases.audformat
# The libraries use what pandas will give up.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
PARTS = Catalogue("data set", {"audformat": "rehear.datasets.audformat:Audformat"})
EMOTION = {"label": "emotion", "group": "speaker"}


@pytest.fixture
def fetch(tmp_path):
    def run(*, task="classification", source=tmp_path / "db", **arguments):
        part = PARTS.build({"name": "audformat", **arguments})
        return part.fetch(tmp_path, task=task, source=source, downloads=tmp_path)

    return run


@pytest.fixture
def rows(tmp_path, recordings):
    """The rows that the database of real recordings is made of."""
    return databases.emotional_speech(tmp_path / "db", recordings)


@pytest.fixture
def small(tmp_path):
    """A database of three files, to add tables to; is saved by what it returns."""
    root = tmp_path / "db"
    for name in "abc":
        path = root / "audio" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RIFF")
    database = audformat.Database("small")
    files = [f"audio/{name}.wav" for name in "abc"]

    def add(table, index=None, *, split_id=None, **columns):
        index = audformat.filewise_index(files) if index is None else index
        database[table] = audformat.Table(index, split_id=split_id)
        for column, values in columns.items():
            scheme = column if column in database.schemes else None
            database[table][column] = audformat.Column(scheme_id=scheme)
            database[table][column].set(values)
        database.save(str(root), storage_format="csv")

    add.database, add.root = database, root
    return add


def test_real_database_is_what_its_labels_say(fetch, rows):
    found = fetch(columns=EMOTION, attributes=["gender", "age"])
    assert found.attributes == ("gender", "age")
    assert {
        clip.clip: (clip.file, clip.labels[0], clip.group, clip.split, clip.attributes)
        for clip in found
    } == {
        row["file"]: (
            *(row["file"], row["label"], row["speaker"]),
            "train" if row["split"] == "train" else "test",
            (row["gender"], row["age"]),
        )
        for row in rows
    }
    assert {clip.split for clip in found} == {"train", "test"}
    assert {(clip.start, clip.end) for clip in found} == {(None, None)}


def test_real_database_is_what_audformat_reads(fetch, rows, tmp_path):
    database = audformat.Database.load(str(tmp_path / "db"))
    speakers = database["files"]["speaker"]
    found = {clip.file: clip for clip in fetch(columns=EMOTION, attributes="gender")}
    emotions = database["emotion"]["emotion"].get(map="emotion")
    assert {f: c.labels[0] for f, c in found.items()} == emotions.to_dict()
    assert {f: c.group for f, c in found.items()} == speakers.get().to_dict()
    genders = speakers.get(map="gender")
    assert {f: c.attributes[0] for f, c in found.items()} == genders.to_dict()
    for split in ("train", "test"):
        files = set(database[f"emotion.{split}"].files)
        assert {f for f, clip in found.items() if clip.split == split} == files


def test_targets(fetch, rows):
    names = ["recognition", "naturalness"]
    found = fetch(task="regression", targets=names, columns={"group": "speaker"})
    assert found.targets == ("recognition", "naturalness")
    wanted = {row["file"]: tuple(float(row[name]) for name in names) for row in rows}
    assert {clip.file: clip.targets for clip in found} == wanted
    assert {clip.labels for clip in found} == {()}


def test_chosen_tables(fetch, rows):
    found = fetch(columns=EMOTION, tables="emotion.train")
    assert len(found) == sum(row["split"] == "train" for row in rows)
    assert {clip.split for clip in found} == {"train"}
    found = fetch(columns=EMOTION, tables=["emotion"])
    assert len(found) == len(rows)
    assert {clip.split for clip in found} == {""}
    assert {clip.split for clip in fetch(columns={**EMOTION, "split": ""})} == {""}


def test_header_gives_title_citation_and_licence(rows, tmp_path):
    part = PARTS.build({"name": "audformat", "columns": EMOTION})
    part.fetch(
        tmp_path, task="classification", source=tmp_path / "db", downloads=tmp_path
    )
    assert part.title == "emotions"
    assert part.citation == (
        "Ada Example, Ben Example. emotions. Example University. "
        "https://example.org/emotions"
    )
    assert part.licence == (
        "CC0-1.0 https://creativecommons.org/publicdomain/zero/1.0/"
    )
    assert part.url == "https://example.org/emotions"


def test_parts_of_files(fetch, small):
    index = databases.segmented(
        ["audio/a.wav", "audio/a.wav", "audio/b.wav", "audio/c.wav"],
        [0, 1.25, 0, 2],
        [1.25, 3, None, None],
    )
    small("calls", index, call=["x", "y", "x", "y"])
    small("files", site=["creek", "ridge", "ridge"])
    found = fetch(columns={"label": "call", "group": "site"})
    assert [(c.clip, c.start, c.end, c.labels[0], c.group) for c in found] == [
        ("audio/a.wav[0.0-1.25]", 0.0, 1.25, "x", "creek"),
        ("audio/a.wav[1.25-3.0]", 1.25, 3.0, "y", "creek"),
        ("audio/b.wav", None, None, "x", "ridge"),
        ("audio/c.wav[2.0-]", 2.0, None, "y", "ridge"),
    ]


def test_groups_of_parts_count_for_files_where_they_agree(fetch, small):
    index = databases.segmented(
        ["audio/a.wav"] * 2 + ["audio/b.wav"], [0, 1, 0], [1, 2, 1]
    )
    small("parts", index, bird=["p", "p", "q"])
    small("files", call=["x", "y", None])
    found = fetch(columns={"label": "call", "group": "bird"})
    assert [clip.group for clip in found] == ["p", "q"]
    small("parts", index, bird=["p", "q", "q"])
    with pytest.raises(
        DataError, match=r"no 'bird', or several, for 1 of 2 rows.*a\.wav"
    ):
        fetch(columns={"label": "call", "group": "bird"})


def test_rows_without_label_are_left_out_and_named(fetch, small, caplog):
    small("files", call=["x", None, "y"], site=["p", "q", None])
    with caplog.at_level(logging.INFO):
        found = fetch(columns={"label": "call"}, attributes="site")
    assert [clip.attributes for clip in found] == [("p",), ("",)]
    assert "1 of 3 rows without 'call' are left out, of: audio/b.wav" in caplog.text
    with pytest.raises(DataError, match=r"no 'site', or several, for 1 of 2 rows"):
        fetch(columns={"label": "call", "group": "site"})


def test_labels_without_any_value(fetch, small):
    small("files", call=[None, None, None])
    with pytest.raises(DataError, match="no row has 'call'; name other columns"):
        fetch(columns={"label": "call"})


def test_speakers_in_a_table_of_their_own(fetch, small):
    index = databases.pd.Index(["s1", "s2"], name="speaker", dtype="string")
    speakers = audformat.MiscTable(index)
    small.database["speaker"] = speakers
    speakers["dialect"] = audformat.Column()
    speakers["dialect"].set(["north", "south"])
    small.database.schemes["speaker"] = audformat.Scheme("str", labels="speaker")
    small("files", speaker=["s1", "s2", "s2"], call=["x", "y", "y"])
    found = fetch(columns={"label": "call", "group": "speaker"}, attributes="dialect")
    assert [(clip.group, *clip.attributes) for clip in found] == [
        ("s1", "north"),
        ("s2", "south"),
        ("s2", "south"),
    ]


def test_tags(fetch, small):
    small(
        "files",
        tags=["x;y", "y", " "],
        frog=[True, True, False],
        owl=[False, True, False],
    )
    found = fetch(task="tagging", columns={"label": "tags"})
    assert [clip.labels for clip in found] == [("x", "y"), ("y",), ()]
    found = fetch(task="tagging", columns={"label": ["frog", "owl"]})
    assert [clip.labels for clip in found] == [("frog",), ("frog", "owl"), ()]
    with pytest.raises(DataError, match=r"a\.wav': 'x;y' in column 'tags' is no tag"):
        fetch(task="tagging", columns={"label": ["tags", "owl"]})
    with pytest.raises(DataError, match=r"a\.wav': the label 'x;y' holds a ';'"):
        fetch(columns={"label": "tags"})


def test_numbers_as_labels_and_texts_as_targets(fetch, small):
    small.database.schemes["digit"] = audformat.Scheme("int")
    small("files", digit=[7, 7, 0], word=["a", "b", "c"])
    assert [clip.labels for clip in fetch(columns={"label": "digit"})] == [
        *(("7",), ("7",), ("0",))
    ]
    found = fetch(task="regression", targets="digit")
    assert [clip.targets for clip in found] == [(7.0,), (7.0,), (0.0,)]
    with pytest.raises(DataError, match=r"a\.wav': 'a' in column 'word' is no number"):
        fetch(task="regression", targets=["word"])


def test_split_and_fold_in_columns(fetch, small):
    small(
        "files",
        call=["x", "y", "x"],
        part=["training", "Dev", "eval"],
        k=["1", "2", "1"],
    )
    found = fetch(columns={"label": "call", "split": "part", "fold": "k"})
    assert [(clip.split, clip.fold) for clip in found] == [
        *(("train", "1"), ("dev", "2"), ("test", "1"))
    ]
    with pytest.raises(DataError, match="unknown split 'x' in column 'call'"):
        fetch(columns={"label": "part", "split": "call"})


def test_names_of_tables_give_splits_where_nothing_else_does(fetch, small):
    files = [f"audio/{name}.wav" for name in "abc"]
    parts = {"call.train": files[:2], "call.devel": files[2:]}
    for name, part in parts.items():
        small(name, audformat.filewise_index(part), call=["x"] * len(part))
    assert [clip.split for clip in fetch(columns={"label": "call"})] == [
        *("train", "train", "dev")
    ]


def test_valence_is_no_split(fetch, small):
    small("val", val=[0.1, 0.2, 0.3])
    found = fetch(task="regression", targets="val")
    assert {clip.split for clip in found} == {""}


def test_row_in_two_splits_or_in_none(fetch, small):
    for split in ("train", "test", "other"):
        small.database.splits[split] = audformat.Split(type=split)
    files = [f"audio/{name}.wav" for name in "abc"]
    small("all", split_id="other", note=["p", "q", "r"])
    small("one", audformat.filewise_index(files[:2]), split_id="train", call=["x", "y"])
    small("two", audformat.filewise_index(files[1:]), split_id="test", call=["y", "x"])
    with pytest.raises(
        DataError, match=r"'audio/b\.wav' is in train and, by table 'two'"
    ):
        fetch(columns={"label": "call"})
    small("two", audformat.filewise_index(files[2:]), split_id=None, call=["x"])
    with pytest.raises(DataError, match=r"1 of 3 rows have no split.*audio/c\.wav"):
        fetch(columns={"label": "call"})
    assert len(fetch(columns={"label": "call"}, tables="one")) == 2
    assert len(fetch(columns={"label": "call", "split": ""})) == 3


def test_tables_that_disagree_are_named(fetch, small):
    small("rater1", call=["x", "x", "x"])
    small("rater2", call=["x", "y", "x"])
    with pytest.raises(
        DataError, match=r"'call' is not the same in all tables \(Found"
    ):
        fetch(columns={"label": "call"})
    assert len(fetch(columns={"label": "call"}, tables=["rater2"])) == 3


@pytest.mark.parametrize(
    ("task", "arguments", "error", "message"),
    [
        (
            "classification",
            {},
            ParamsError,
            r"needs dataset\.columns: \{label: …\}; col",
        ),
        (
            "regression",
            {},
            ParamsError,
            r"needs dataset\.targets; columns .*: call, site",
        ),
        (
            "classification",
            {"columns": {"label": ["call", "site"]}},
            ParamsError,
            "one la",
        ),
        (
            "tagging",
            {"columns": {"label": "cal"}},
            DataError,
            "no column 'cal'.*'call'",
        ),
        (
            *("classification", {"columns": {"label": "call", "group": "sit"}}),
            *(DataError, "no column 'sit'.*'site'"),
        ),
        (
            *("classification", {"columns": {"label": "call"}, "attributes": "x"}),
            *(DataError, "no column 'x'"),
        ),
        (
            *("classification", {"columns": {"label": "call", "split": "spl"}}),
            *(DataError, "no column 'spl'"),
        ),
        (
            *("classification", {"columns": {"label": "call"}, "tables": "file"}),
            *(DataError, "no table 'file'. Did you mean 'files'"),
        ),
    ],
)
def test_what_is_not_there_is_named(fetch, small, task, arguments, error, message):
    small("files", call=["x", "y", "z"], site=["p", "p", "q"])
    with pytest.raises(error, match=message):
        fetch(task=task, **arguments)


def test_columns_are_checked():
    with pytest.raises(ParamsError, match=r"dataset\.columns: unknown 'grup'.*'group'"):
        PARTS.build({"name": "audformat", "columns": {"grup": "speaker"}})


def test_recordings_may_be_in_an_archive(fetch, small):
    small("files", call=["x", "y", "z"])
    with zipfile.ZipFile(small.root / "media.zip", "w") as packed:
        for name in "bc":
            path = small.root / "audio" / f"{name}.wav"
            packed.write(path, f"audio/{name}.wav")
            path.unlink()
    assert [clip.file for clip in fetch(columns={"label": "call"})] == [
        *("audio/a.wav", "media.zip::audio/b.wav", "media.zip::audio/c.wav")
    ]


def test_missing_recordings_are_named(fetch, small):
    small("files", call=["x", "y", "z"])
    (small.root / "audio" / "b.wav").unlink()
    with pytest.raises(DataError, match=r"lacks 1 of 3 files .*: audio/b\.wav; put"):
        fetch(columns={"label": "call"})


@pytest.mark.parametrize("strange", ["/audio/a.wav", "../a.wav"])
def test_files_outside_of_the_database_are_refused(fetch, small, strange):
    small("files", audformat.filewise_index([strange]), call=["x"])
    with pytest.raises(
        DataError, match=r"files outside of the database: .*a\.wav; save"
    ):
        fetch(columns={"label": "call"})


def test_no_database_and_a_broken_one(fetch, small, tmp_path):
    with pytest.raises(DataError, match=r"none does not exist; .*fetch\.source"):
        fetch(source=tmp_path / "none")
    with pytest.raises(
        DataError, match=r"db\.yaml does not exist; expected a database"
    ):
        fetch(source=tmp_path)
    small("files", call=["x", "y", "z"])
    header = small.root / "db.yaml"
    text = header.read_text()
    header.write_text("tables: [\n")
    with pytest.raises(DataError, match=r"db\.yaml: no YAML \(.*\); restore the file"):
        fetch(columns={"label": "call"})
    header.write_text(text)
    (small.root / "db.files.csv").unlink()
    with pytest.raises(
        DataError, match=r"cannot be read \(RuntimeError: No file found"
    ):
        fetch(columns={"label": "call"})


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_database_is_run(fetch, small, tmp_path):
    small("files", call=["x", "y", "z"])
    trapped = tmp_path / "trapped"
    pickled = small.root / "db.files.pkl"
    databases.pd.to_pickle(Trap(trapped), pickled)
    assert len(fetch(columns={"label": "call"})) == 3
    header = small.root / "db.yaml"
    text = header.read_text()
    header.write_text(f"{text}\nmeta: !!python/object/apply:os.mkdir ['{trapped}']\n")
    with pytest.raises(DataError, match=r"tag 'tag:yaml\.org,2002:python/.*run code"):
        fetch(columns={"label": "call"})
    assert not trapped.exists()


def test_missing_library_is_named(fetch, small, monkeypatch):
    small("files", call=["x", "y", "z"])
    monkeypatch.setitem(sys.modules, "audformat", None)
    with pytest.raises(ParamsError, match=r"pip install 'rehear\[audb\]'"):
        fetch(columns={"label": "call"})


def test_stage_writes_manifest_and_card(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "DATASETS", PARTS)
    (tmp_path / "data").mkdir()
    (tmp_path / "db").rename(tmp_path / "data" / "own")
    part = Part(name="audformat", columns=EMOTION, attributes=["gender"])
    stage.run(Params(dataset=part), tmp_path, processes=1)
    found = manifest.read(tmp_path / "data" / "manifest.csv")
    assert found.attributes == ("gender",)
    assert len(found) == len(rows)
    assert {clip.split for clip in found} == {"train", "dev", "test"}
    assert all((tmp_path / clip.file).is_file() for clip in found)
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    assert (card["title"], card["leaks"]) == ("emotions", [])
    assert card["licence"].startswith("CC0-1.0")
    assert "Ada Example" in card["citation"]
