import json
import subprocess
import sys
from pathlib import Path

import pytest

from audiofolders import listed, load, put, write
from rehear.datasets import arrow
from rehear.datasets.huggingface import HuggingFaceFolder
from rehear.errors import DataError

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()


def made(folder, labels, prefix=""):
    """Return a data set of recordings that it takes from files."""
    put(folder, *(f"{prefix}{name}.wav" for name in labels))
    files = [str(folder / f"{prefix}{name}.wav") for name in labels]
    rows = {
        "audio": files,
        "label": list(labels.values()),
        "score": [0.5, float("nan"), 2.0][: len(files)],
        "tags": [["loud"], [], ["low", "loud"]][: len(files)],
    }
    table = datasets.Dataset.from_dict(rows)
    table = table.cast_column("audio", datasets.Audio(decode=False))
    return table.class_encode_column("label")


LABELS = {"a": "dog", "b": "cat", "c": "dog"}


def bytes_of(folder):
    """Return the recordings of an audio folder by their original names."""
    return {
        path.name.partition("-")[2]: path.read_bytes() for path in folder.glob("*.wav")
    }


def run(saved, folder):
    command = [sys.executable, "-m", "rehear.datasets.arrow", str(saved), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_command_writes_out_what_the_library_saved(tmp_path, monkeypatch):
    parts = {
        "train": made(tmp_path / "files", LABELS),
        "validation.clean": made(tmp_path / "files", LABELS, "x"),
    }
    saved, folder = tmp_path / "saved", tmp_path / "new"
    datasets.DatasetDict(parts).save_to_disk(saved)
    answer = run(saved, folder)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == f"6 recordings written to {folder}\n"
    assert sorted(p.name for p in folder.iterdir()) == ["train", "validation.clean"]
    found = load(folder, tmp_path / "cache", monkeypatch)
    assert listed(found, folder) == {
        "train/000001-a.wav": ("train", "dog"),
        "train/000002-b.wav": ("train", "cat"),
        "train/000003-c.wav": ("train", "dog"),
        "validation.clean/000001-xa.wav": ("validation", "dog"),
        "validation.clean/000002-xb.wav": ("validation", "cat"),
        "validation.clean/000003-xc.wav": ("validation", "dog"),
    }
    originals = {f"{n}.wav": b"RIFF" + f"{n}.wav".encode() for n in "abc"}
    assert bytes_of(folder / "train") == originals
    for column in ("score", "tags"):
        expected = parts["train"].with_format("arrow")[column].to_pylist()
        values = [None if value != value else value for value in expected]
        assert found["train"].with_format("arrow")[column].to_pylist() == values
    part = HuggingFaceFolder()
    clips = part.fetch(folder, task="classification", source=folder, downloads=folder)
    assert {clip.split for clip in clips} == {"train", "dev"}
    assert [clip.labels[0] for clip in clips] == ["dog", "cat", "dog"] * 2


def test_one_split_is_for_training(tmp_path):
    made(tmp_path / "files", LABELS).save_to_disk(tmp_path / "saved", num_shards=2)
    assert arrow.write_out(tmp_path / "saved", tmp_path / "new") == 3
    assert sorted(bytes_of(tmp_path / "new" / "train")) == ["a.wav", "b.wav", "c.wav"]


def test_parquet_files_are_read_with_their_splits(tmp_path):
    folder = tmp_path / "saved" / "data"
    folder.mkdir(parents=True)
    table = made(tmp_path / "files", LABELS)
    for name, rows in (("train-00000-of-00001", [0, 1]), ("test-00000-of-00001", [2])):
        table.select(rows).to_parquet(folder / f"{name}.parquet")
    # What is only named is copied.
    assert arrow.write_out(tmp_path / "saved", tmp_path / "new") == 3
    assert sorted(bytes_of(tmp_path / "new" / "train")) == ["a.wav", "b.wav"]
    assert sorted(bytes_of(tmp_path / "new" / "test")) == ["c.wav"]


def test_recordings_without_name_get_one(tmp_path):
    rows = [b"RIFF", b"fLaC", b"OggS", b"ID3", b"?"]
    kind = datasets.Audio(decode=False)
    table = datasets.Dataset.from_dict({"voice": rows}).cast_column("voice", kind)
    table.save_to_disk(tmp_path / "saved")
    arrow.write_out(tmp_path / "saved", tmp_path / "new")
    lines = (tmp_path / "new" / "train" / "metadata.jsonl").read_text().splitlines()
    endings = ["wav", "flac", "ogg", "mp3", "wav"]
    assert [json.loads(line)["file_name"] for line in lines] == [
        f"{number:06d}.{ending}" for number, ending in enumerate(endings, start=1)
    ]


def test_path_in_the_table_does_not_leave_the_folder(tmp_path):
    value = {"bytes": b"RIFF", "path": "../../evil.wav"}
    table = datasets.Dataset.from_dict({"audio": [value]})
    table.save_to_disk(tmp_path / "saved")
    arrow.write_out(tmp_path / "saved", tmp_path / "new")
    files = list(tmp_path.rglob("*evil*"))
    assert files == [tmp_path / "new" / "train" / "000001-evil.wav"]


def refused(tmp_path, message):
    folder = tmp_path / "new"
    with pytest.raises(DataError, match=message):
        arrow.write_out(tmp_path / "saved", folder)
    assert not folder.exists()
    assert not list(tmp_path.glob(".new*"))


def test_existing_folder_is_refused(tmp_path):
    (tmp_path / "new").mkdir()
    with pytest.raises(DataError, match="new exists; name a new folder"):
        arrow.write_out(tmp_path, tmp_path / "new")


def test_what_is_not_saved_is_told(tmp_path):
    (tmp_path / "saved").mkdir()
    refused(tmp_path, "no saved data set")


def test_unknown_splits_are_told(tmp_path):
    table = made(tmp_path / "files", LABELS)
    datasets.DatasetDict({"train": table, "fold1": table}).save_to_disk(
        tmp_path / "saved"
    )
    refused(tmp_path, "split 'fold1' is none of train, validation and test")


def test_split_does_not_leave_the_folder(tmp_path):
    made(tmp_path / "files", LABELS).save_to_disk(tmp_path / "test")
    write(tmp_path / "saved" / "dataset_dict.json", '{"splits": ["../test", "train"]}')
    made(tmp_path / "files", LABELS).save_to_disk(tmp_path / "saved" / "train")
    refused(tmp_path, r"split '\.\./test' is none of train")


def test_missing_column_is_told(tmp_path):
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "saved")
    refused(tmp_path, "no column of recordings; expected one. Columns: text")


def test_several_columns_are_told(tmp_path):
    table = made(tmp_path / "files", LABELS)
    table.add_column("more", table.with_format("arrow")["audio"].to_pylist())
    other = table.remove_columns(["label", "score", "tags"]).rename_column("audio", "b")
    datasets.concatenate_datasets([table, other], axis=1).save_to_disk(
        tmp_path / "saved"
    )
    refused(tmp_path, "audio, b of recordings; expected one")


def test_missing_recording_is_told(tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    made(tmp_path / "files", LABELS).to_parquet(folder / "train.parquet")
    (tmp_path / "files" / "b.wav").unlink()
    refused(tmp_path, r"row 2: column 'audio' has no recording, and .*b\.wav does not")


def test_damaged_table_is_told(tmp_path):
    write(tmp_path / "saved" / "train.parquet", "PAR1")
    refused(tmp_path, r"train\.parquet: cannot be read")


def test_command_tells_how_it_is_used(tmp_path):
    answer = run("", "")
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: ")
    script = [sys.executable, "-m", "rehear.datasets.arrow"]
    usage = subprocess.run(script, capture_output=True, text=True, check=False)
    assert usage.stderr.startswith("usage: python -m rehear.datasets.arrow")
    assert Path(arrow.__file__).stem == "arrow"
