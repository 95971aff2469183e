import json
import sys
from collections import Counter

import pytest

from audiofolders import listed, load, pack, put, write
from rehear import audio, manifest
from rehear.catalogue import Catalogue
from rehear.datasets.huggingface import HuggingFaceFolder
from rehear.errors import DataError, ParamsError
from rehear.params import Fetch, Params, Part
from rehear.stages import fetch

SPLITS = {"": "train", "train": "train", "dev": "validation", "test": "test"}


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


@pytest.fixture
def ours(source, tmp_path):
    def read(*, task="classification", **arguments):
        part = HuggingFaceFolder(**arguments)
        return part.fetch(tmp_path, task=task, source=source, downloads=tmp_path)

    return read


@pytest.fixture
def theirs(source, tmp_path, monkeypatch):
    """Return what the library reads: file → split and label."""

    def read(**arguments):
        found = load(source, tmp_path / "cache", monkeypatch)
        return listed(found, source, **arguments)

    return read


def compared(found):
    """Return our clips in the form of ``theirs``."""
    return {clip.file: (SPLITS[clip.split], *clip.labels) for clip in found}


# The library looks for classes in the first split only.
LAYOUTS = {
    "classes": ["dog/1.wav", "cat/2.WAV", "cat/3.flac", "cat/notes.txt"],
    "deep": ["a/dog/1.wav", "b/cat/2.wav", "b/dog/3.mp3"],
    "splits": [
        *("train/dog/1.wav", "train/cat/2.wav", "validation/cat/3.wav"),
        *("test/dog/4.ogg", "train/cat/5.wav"),
    ],
    "below data": [
        "data/train/dog/1.wav",
        "data/train/cat/2.wav",
        "data/test/cat/3.wav",
    ],
    "words": [
        *("training/dog/1.wav", "valid/cat/2.wav", "eval/dog/3.wav"),
        *("training/cat/4.wav", "evaluation/cat/5.wav", "testing/dog/6.wav"),
        *("dev/cat/7.wav", "val/dog/8.wav"),
    ],
    "words in names of folders": [
        *("my-train/dog/1.wav", "dev_2/cat/2.wav", "a.test.b/dog/3.wav"),
        *("train 1/cat/4.wav", "train9/dog/5.wav", "no1test/cat/6.wav"),
    ],
    "words that are only parts": ["dog/trainer.wav", "cat/contest.wav"],
    "capitals are no words": ["Train/dog/1.wav", "TEST/cat/2.wav"],
    "words in names of files": [
        *("dog/train_1.wav", "cat/my-test.2.wav", "dog/x val 3.wav"),
        *("cat/test.wav", "dog/4.wav", "cat/training-5.wav"),
    ],
    "folders go before names": [
        *("train/dog/test_1.wav", "train/cat/2.wav", "test/cat/train_3.wav"),
    ],
    "outside of splits": [
        *("train/dog/1.wav", "train/cat/2.wav", "test/cat/3.wav", "extra/dog/4.wav"),
    ],
    "hidden": ["dog/1.wav", "cat/2.wav", "dog/.3.wav", ".git/4.wav", "__x__/5.wav"],
    "only one split": ["train/dog/1.wav", "train/cat/2.wav"],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_class_folders_are_read_as_by_the_library(source, ours, theirs, name):
    put(source, *LAYOUTS[name])
    assert compared(ours()) == theirs()
    assert len(ours()) > 1


def test_classes_may_be_in_archives(source, ours):
    trained = ("dog/1.wav", "cat/2.wav", "__MACOSX/dog/._1.wav")
    pack(source / "train.zip", dict.fromkeys(trained, "RIFF"))
    pack(source / "test-b.zip", dict.fromkeys(("dog/3.wav", "cat/.4.wav"), "RIFF"))
    assert {clip.file: (clip.split, *clip.labels) for clip in ours()} == {
        "train.zip::dog/1.wav": ("train", "dog"),
        "train.zip::cat/2.wav": ("train", "cat"),
        "test-b.zip::dog/3.wav": ("test", "dog"),
    }


TABLE = "file_name,label,speaker,n\na.wav,dog,rex,0.5\nsub/b.wav,cat,tom,-1e3\n"


def test_tables_are_read_as_by_the_library(source, ours, theirs):
    put(source, "a.wav", "sub/b.wav", "unlisted.wav")
    write(source / "metadata.csv", TABLE)
    assert compared(ours()) == theirs()
    assert {clip.split for clip in ours()} == {""}


def test_tables_of_splits_are_read_as_by_the_library(source, ours, theirs):
    for split in ("train", "test"):
        put(source, f"{split}/a.wav", f"{split}/sub/b.wav")
        write(source / split / "metadata.csv", TABLE)
    assert compared(ours()) == theirs()
    assert {clip.split for clip in ours()} == {"train", "test"}


def test_shards_are_read_as_by_the_library(source, ours, theirs):
    for number, name in enumerate(
        ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001")
    ):
        table = f"file_name,label\n{number}.wav,dog\n"
        files = {f"{number}.wav": "RIFF", "metadata.csv": table}
        pack(source / "data" / f"{name}.zip", files)
    pack(source / "data" / "test.zip", {"dog/4.wav": "RIFF"})
    assert compared(ours()) == theirs()
    assert Counter(clip.split for clip in ours()) == {"train": 2, "dev": 1}


def test_tables_in_archives_are_read_as_by_the_library(source, ours, theirs):
    for name, folder in (("train.zip", ""), ("dev.zip", "in/")):
        files = {"a.wav": "RIFF", "sub/b.wav": "RIFF", "metadata.csv": TABLE}
        pack(source / name, {folder + file: text for file, text in files.items()})
    assert compared(ours()) == theirs()
    assert {clip.file: clip.split for clip in ours()} == {
        "train.zip::a.wav": "train",
        "train.zip::sub/b.wav": "train",
        "dev.zip::in/a.wav": "dev",
        "dev.zip::in/sub/b.wav": "dev",
    }


def test_table_outside_of_splits_is_not_read_as_by_the_library(
    source, ours, theirs, caplog
):
    put(source, "train/dog/a.wav", "train/cat/b.wav", "test/cat/c.wav")
    write(source / "metadata.csv", "file_name,label\ntrain/dog/a.wav,x\n")
    assert compared(ours()) == theirs()
    assert "1 files are left out" in caplog.text
    assert "metadata.csv" in caplog.text


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_other_tables_are_read_as_by_the_library(source, ours, theirs, kind):
    put(source, "a.wav", "b.wav", "c.wav")
    rows = [
        {"file_name": "a.wav", "label": 7, "n": 0.1},
        {"file_name": "b.wav", "label": 10, "n": 1},
        {"file_name": "c.wav", "label": 7, "n": 2.5},
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    write(source / "metadata.jsonl", lines + "\n\n")
    if kind == "parquet":
        pandas = pytest.importorskip("pandas")
        (source / "metadata.jsonl").unlink()
        pandas.DataFrame(rows).to_parquet(source / "metadata.parquet")
    found = ours(task="regression", targets=["n"])
    assert [clip.targets for clip in found] == [(0.1,), (1.0,), (2.5,)]
    library = {file: (split, str(label)) for file, (split, label) in theirs().items()}
    assert compared(ours()) == library


def test_names_of_classes_in_parquet_are_those_of_the_library(source, ours, theirs):
    datasets = pytest.importorskip("datasets")
    put(source, "a.wav", "b.wav")
    kind = datasets.ClassLabel(names=["dog", "cat"])
    rows = {"file_name": ["a.wav", "b.wav"], "label": [1, 0], "tags": [[0, 1], []]}
    features = datasets.Features(
        {
            "file_name": datasets.Value("string"),
            "label": kind,
            "tags": datasets.List(kind),
        }
    )
    table = datasets.Dataset.from_dict(rows, features=features)
    table.to_parquet(source / "metadata.parquet")
    assert compared(ours()) == theirs()
    assert [clip.labels for clip in ours()] == [("cat",), ("dog",)]
    tagged = ours(task="tagging", columns={"label": "tags"})
    assert [clip.labels for clip in tagged] == [("dog", "cat"), ()]


def test_other_names_of_the_column_with_files(source, ours, theirs):
    put(source, "a.wav", "b.wav")
    write(source / "metadata.csv", "id,voice_file_name,label\n1,a.wav,x\n2,b.wav,y\n")
    assert compared(ours()) == theirs(column="voice")


def test_columns_of_a_table(source, ours):
    put(source, "a.wav", "b.wav", "c.wav")
    write(
        source / "metadata.csv",
        "file_name,genre,artist,city,split,fold,start,end\n"
        "a.wav,jazz,x,Rome,train,1,0.5,1\n"
        "b.wav,rock,y,,validation,2,,\n"
        "c.wav,jazz,z,Oslo,test,1,,\n",
    )
    names = {"label": "genre", "group": "artist"}
    found = ours(columns=names, attributes="city", title="Ours", licence="CC0")
    assert found.attributes == ("city",)
    first, second, _ = found.clips
    assert (first.clip, first.labels) == ("a.wav[0.5-1.0]", ("jazz",))
    assert (first.group, first.fold, first.attributes) == ("x", "1", ("Rome",))
    assert [clip.split for clip in found] == ["train", "dev", "test"]
    assert second.attributes == ("",)


def test_lists_are_tags(source, ours):
    put(source, "a.wav", "b.wav")
    write(
        source / "metadata.jsonl",
        '{"file_name": "a.wav", "label": ["rain", "wind"]}\n'
        '{"file_name": "b.wav", "label": []}\n',
    )
    found = ours(task="tagging")
    assert [clip.labels for clip in found] == [("rain", "wind"), ()]


def test_split_of_the_path_and_of_the_column_agree(source, ours):
    put(source, "train/a.wav")
    table = source / "train" / "metadata.csv"
    write(table, "file_name,label,split\na.wav,x,train\n")
    assert [clip.split for clip in ours()] == ["train"]
    write(table, "file_name,label,split\na.wav,x,test\n")
    with pytest.raises(DataError, match="is in train by its path, but in test by"):
        ours()


def test_recordings_that_no_table_lists_are_told(source, ours, caplog):
    put(source, "a.wav", "b.wav", "c.wav")
    write(source / "metadata.csv", "file_name,label\na.wav,x\n")
    assert len(ours()) == 1
    assert "2 recordings are left out, as no table lists them: b.wav" in caplog.text


WRONG = {
    "nothing": ([], "no recordings below it"),
    "no audio": (["dog/notes.txt"], "no recordings below it"),
    "depths": (["dog/1.wav", "2.wav"], "'2.wav' and 'dog/1.wav' lie at different"),
    "one folder": (["dog/1.wav", "dog/2.wav"], "all recordings are in one folder"),
    "flat": (["1.wav", "2.wav"], "all recordings are in one folder"),
    "split": (["train/1.wav", "test/2.wav"], "'test/2.wav' lies in the folder of a"),
    "two": (["train/a-test/1.wav"], "is in the splits train and test by its path"),
    "two names": (["dog/train-test.wav"], "in the splits train and test by its path"),
    "shard": (
        ["data/trian-00000-of-00001.wav"],
        "unknown split 'trian'.*mean 'train'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_folders_without_classes_are_told(source, ours, name):
    files, message = WRONG[name]
    put(source, *files)
    with pytest.raises(DataError, match=message):
        ours()


def test_missing_folder_is_told(source, ours):
    source.rmdir()
    with pytest.raises(DataError, match=r"does not exist.*fetch\.source"):
        ours()


TABLES = {
    "no file column": (
        "metadata.csv",
        "path,label\na.wav,x\n",
        "no column 'file_name'",
    ),
    "two file columns": (
        "metadata.csv",
        "x_file_name,y_file_name,label\na.wav,a.wav,x\n",
        r"no column 'file_name'.*dataset\.columns: {path: ",
    ),
    "no label": ("metadata.csv", "file_name,genre\na.wav,x\n", "no column 'label'"),
    "missing": ("metadata.csv", "file_name,label\nb.wav,x\n", "b.wav does not exist"),
    "outside": ("metadata.csv", "file_name,label\n../a.wav,x\n", "lies outside"),
    "twice": (
        "metadata.csv",
        "file_name,label\na.wav,x\na.wav,y\n",
        "row 3: 'a.wav' is a duplicate",
    ),
    "no JSON": ("metadata.jsonl", '\n{"file_name": "a.wav",}\n', "row 2: no JSON"),
    "no object": ("metadata.jsonl", '["a.wav"]\n', "row 1: expected an object"),
    "separator": (
        "metadata.jsonl",
        '{"file_name": "a.wav", "label": ["a;b", "c"]}\n',
        "row 1: ';' in ",
    ),
    "empty": ("metadata.jsonl", "", "no column 'file_name'"),
    "damaged": ("metadata.parquet", "PAR1", "metadata.parquet: cannot be read"),
}


@pytest.mark.parametrize("name", TABLES)
def test_wrong_tables_are_told(source, ours, name):
    file, text, message = TABLES[name]
    if name == "damaged":
        pytest.importorskip("pyarrow")
    put(source, "a.wav")
    write(source / file, text)
    with pytest.raises(DataError, match=message):
        ours()


def test_library_for_parquet_may_be_missing(source, ours, monkeypatch):
    put(source, "a.wav")
    write(source / "metadata.parquet", "PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"metadata\.parquet: needs pyarrow"):
        ours()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": {"group": "x"}}, r"dataset\.columns names columns, but"),
        ({"targets": ["x"]}, r"dataset\.targets names columns, but"),
        ({"attributes": ["x"]}, r"dataset\.attributes names columns, but"),
        ({"task": "regression"}, r"needs columns with numbers, but .* has no metadata"),
    ],
)
def test_columns_need_a_table(source, ours, arguments, message):
    put(source, "dog/1.wav", "cat/2.wav")
    with pytest.raises(ParamsError, match=message):
        ours(**arguments)


def test_unknown_column_in_params_is_named():
    with pytest.raises(ParamsError, match="unknown column 'labl'.*'label'"):
        HuggingFaceFolder(columns={"labl": "x"})


@pytest.mark.parametrize(
    "name", ["data/train.parquet", "train/data-00000-of-00001.arrow"]
)
def test_saved_sets_are_refused_with_the_way_out(source, ours, name):
    put(source, name)
    with pytest.raises(DataError, match=rf"'{name}' holds.*-m rehear\.datasets\.arrow"):
        ours()


def test_stage_runs_with_real_recordings(tmp_path, recordings, monkeypatch):
    header, *rows = (recordings / "emodb4" / "labels.csv").read_text().splitlines()
    own = tmp_path / "data" / "own"
    given = {}
    for index, row in enumerate(rows[:30]):
        cells = dict(zip(header.split(","), row.split(","), strict=True))
        split = ("train", "validation", "test")[index % 3]
        name = cells["path"].rpartition("/")[2]
        put(own / split, name)
        data = (recordings / "emodb4" / cells["path"]).read_bytes()
        (own / split / name).write_bytes(data)
        with (own / split / "metadata.jsonl").open("a") as stream:
            line = {"file_name": name, "emotion": cells["label"]}
            stream.write(json.dumps(line) + "\n")
        given[f"data/own/{split}/{name}"] = (cells["label"],)
    monkeypatch.setattr(fetch, "DATASETS", Catalogue("data set", {}))
    fetch.DATASETS.add("hf_folder", HuggingFaceFolder)
    part = Part(name="hf_folder", columns={"label": "emotion"})
    fetch.run(Params(dataset=part, fetch=Fetch()), tmp_path)
    clips = manifest.read(tmp_path / "data" / "manifest.csv").clips
    assert {clip.file: clip.labels for clip in clips} == given
    assert Counter(clip.split for clip in clips) == {"train": 10, "dev": 10, "test": 10}
    waveform, rate = audio.read(tmp_path / clips[0].file)
    assert waveform.shape[1] / rate == pytest.approx(clips[0].duration)
