import pytest

from rehear.datasets import DATASETS
from rehear.errors import DataError, ParamsError


@pytest.fixture
def read(tmp_path):
    for name in ("a.wav", "b.wav", "c.wav"):
        (tmp_path / name).write_bytes(b"RIFF")

    def run(text, *, task="classification", encoding="utf-8", **arguments):
        (tmp_path / "labels.csv").write_text(text, encoding=encoding)
        part = DATASETS.build({"name": "csv", **arguments})
        return part.fetch(tmp_path, task=task, source=tmp_path, downloads=tmp_path)

    return run


def test_all_columns_are_read(read):
    (clip,) = read(
        "path,label,split,fold,group,start,end,note\n"
        "a.wav,dog,train,2,rex,0.5,1.25,loud\n"
    ).clips
    assert (clip.file, clip.labels, clip.split) == ("a.wav", ("dog",), "train")
    assert (clip.fold, clip.group, clip.start, clip.end) == ("2", "rex", 0.5, 1.25)


def test_several_parts_of_a_recording_are_clips(read):
    text = "path,label,start,end\na.wav,x,0,1\na.wav,y,1,\nb.wav,x,,\n"
    assert [clip.clip for clip in read(text)] == [
        "a.wav[0.0-1.0]",
        "a.wav[1.0-]",
        "b.wav",
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_spreadsheets_of_all_kinds_are_read(read, separator, encoding, end):
    rows = [("path", "label"), ("a.wav", "Käuzchen"), ("b.wav", '"x,y"')]
    text = end.join(separator.join(row) for row in rows) + end
    assert [clip.labels for clip in read(text, encoding=encoding)] == [
        ("Käuzchen",),
        ("x,y",),
    ]


def test_columns_can_have_other_names(read):
    text = "filename,emotion,speaker\na.wav,joy,03\n"
    names = {"path": "filename", "label": "emotion", "group": "speaker"}
    (clip,) = read(text, columns=names).clips
    assert (clip.labels, clip.group) == (("joy",), "03")


@pytest.mark.parametrize(
    ("word", "split"),
    [("Train", "train"), ("validation", "dev"), ("val", "dev"), ("EVAL", "test")],
)
def test_words_for_splits(read, word, split):
    (clip,) = read(f"path,label,split\na.wav,x,{word}\n").clips
    assert clip.split == split


def test_tags_are_joined_by_semicolons(read):
    text = "path,label\na.wav,rain;wind; rain\nb.wav,\n"
    assert [c.labels for c in read(text, task="tagging")] == [("rain", "wind"), ()]


def test_regression_targets_are_columns(read):
    text = "path,arousal,valence\na.wav,0.5,-1e-1\n"
    manifest = read(text, task="regression", targets=["valence", "arousal"])
    assert manifest.targets == ("valence", "arousal")
    assert manifest.clips[0].targets == (-0.1, 0.5)


def test_file_in_an_archive_is_not_looked_for_on_disk(read, tmp_path):
    (tmp_path / "all.zip").write_bytes(b"PK")
    (clip,) = read("path,label\nall.zip::x/a.wav,dog\n").clips
    assert clip.file == "all.zip::x/a.wav"


def test_paths_are_relative_to_the_table(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "meta" / "t.csv").write_text("path,label\na.wav,x\n")
    part = DATASETS.build({"name": "csv", "file": "meta/t.csv"})
    found = part.fetch(
        tmp_path, task="classification", source=tmp_path, downloads=tmp_path
    )
    assert found.clips[0].file == "meta/a.wav"


WRONG = {
    "no path": (
        "file,label\na.wav,x\n",
        r"no column 'path'.*mean 'file'.*{path: file}",
    ),
    "no label": ("path,lable\na.wav,x\n", r"no column 'label'.*mean 'lable'"),
    "empty file": ("", r"no column 'path'.*Columns: none"),
    "no rows": ("path,label\n", r"no rows below the header"),
    "only blank rows": ("path,label\n\n,\n", r"no rows below the header"),
    "twice": ("path,label,label\na.wav,x,y\n", r"row 1: column 'label' .*twice"),
    "duplicate": ("path,label\na.wav,x\na.wav,y\n", r"row 3: 'a.wav' is a duplicate"),
    "duplicate part": (
        "path,label,start,end\na.wav,x,0,1\na.wav,y,0.0,1.0\n",
        r"row 3: .* duplicate",
    ),
    "split": ("path,label,split\na.wav,x,trian\n", r"row 2: .*'trian'.*mean 'train'"),
    "half split": (
        "path,label,split\na.wav,x,train\nb.wav,x,\n",
        r"'b.wav' has no split.*1 rows",
    ),
    "missing": ("path,label\na.wav,x\nbb.wav,x\n", r"row 3: .*bb.wav does not exist"),
    "blank line": ("path,label\n\nbb.wav,x\n", r"row 3: .*bb.wav does not exist"),
    "no path in row": ("path,label\n,x\n", r"row 2: empty path"),
    "label": ("path,label\na.wav,\n", r"row 2: empty label"),
    "labels": ("path,label\na.wav,x;y\n", r"row 2: 'x;y' holds several labels"),
    "backwards": ("path,label,start,end\na.wav,x,2,1\n", r"row 2: start '2' and end"),
    "equal": ("path,label,start,end\na.wav,x,1,1\n", r"row 2: start '1' and end '1'"),
    "negative": ("path,label,start\na.wav,x,-1\n", r"row 2: start '-1'"),
    "no number": ("path,label,start\na.wav,x,1s\n", r"row 2: '1s' in column 'start'"),
    "short row": ("path,label\na.wav\n", r"row 2: 1 cells, but 2 columns"),
    "long row": ("path,label\na.wav,x,y\n", r"row 2: 3 cells, but 2 columns"),
    "quote": ('path,label\na.wav,"x\n', r"row 2: unexpected end"),
    "outside": ("path,label\n../a.wav,x\n", r"row 2: '../a.wav' lies outside"),
    "absolute": ("path,label\n/a.wav,x\n", r"row 2: '/a.wav' lies outside"),
    "drive": ("path,label\nC:\\a.wav,x\n", r"row 2: .* lies outside"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_row(read, name):
    text, message = WRONG[name]
    with pytest.raises(DataError, match=message):
        read(text)


@pytest.mark.parametrize("cell", ["", "nan", "inf", "0,5", "high"])
def test_target_that_is_no_number_is_named(read, cell):
    text = f'path,arousal\na.wav,0.1\nb.wav,"{cell}"\n'
    with pytest.raises(DataError, match=rf"row 3: '{cell}' in column 'arousal'"):
        read(text, task="regression", targets=["arousal"])


def test_unknown_target_is_named(read):
    with pytest.raises(DataError, match="'arousl'.*mean 'arousal'"):
        read("path,arousal\na.wav,1\n", task="regression", targets="arousl")


def test_regression_without_targets_is_refused(read):
    with pytest.raises(ParamsError, match=r"set dataset\.targets"):
        read("path,arousal\na.wav,1\n", task="regression")


def test_unknown_column_in_params_is_named():
    with pytest.raises(ParamsError, match="unknown column 'labl'.*'label'"):
        DATASETS.build({"name": "csv", "columns": {"labl": "x"}})


def test_named_column_must_exist(read):
    with pytest.raises(DataError, match="no column 'spkr'.*{group: …}"):
        read("path,label\na.wav,x\n", columns={"group": "spkr"})


def test_missing_table_names_the_others(tmp_path):
    (tmp_path / "label.csv").write_text("")
    part = DATASETS.build({"name": "csv"})
    with pytest.raises(DataError, match=r"does not exist.*'label\.csv'"):
        part.fetch(tmp_path, task="tagging", source=tmp_path, downloads=tmp_path)


def test_table_in_another_encoding_is_named(read):
    with pytest.raises(DataError, match="not UTF-8 at byte"):
        read("path,label\na.wav,ä\n", encoding="latin-1")


def test_real_tables_are_read(recordings):
    for folder, task, arguments in [
        ("emodb4", "classification", {"columns": {"group": "speaker"}}),
        ("arousal_valence47", "regression", {"targets": ["arousal", "valence"]}),
    ]:
        part = DATASETS.build({"name": "csv", **arguments})
        source = recordings / folder
        found = part.fetch(source, task=task, source=source, downloads=source)
        assert len(found) in (308, 47)
