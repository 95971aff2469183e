"""The manifest keeps every bit of a clip."""

import csv
from dataclasses import replace

import pytest

from rehear import manifest
from rehear.errors import DataError
from rehear.manifest import Clip, Manifest

CLIPS = (
    Clip("a", "data/raw/x.wav", labels=("dog",), split="train", group="1"),
    Clip(
        'b,"ü',
        "data/raw/x.tar::d/y.wav",
        start=0.1,
        end=1 / 3,
        labels=("rain", "wind"),
        split="dev",
        fold="2",
        duration=1 / 7,
        sample_rate=44100,
        sha256="ff",
        copies="a",
    ),
)


def test_read_gives_what_was_written(tmp_path):
    path = tmp_path / "manifest.csv"
    manifest.write(path, Manifest(CLIPS))
    assert manifest.read(path) == Manifest(CLIPS)


def test_manifest_of_an_older_version_is_read(tmp_path):
    path = tmp_path / "manifest.csv"
    old = Manifest(
        tuple(replace(c, copies="", targets=(0.5,), attributes=("x",)) for c in CLIPS),
        *(("snr",), ("device",)),
    )
    manifest.write(path, old)
    with path.open(newline="") as stream:
        rows = [row[:13] + row[14:] for row in csv.reader(stream)]
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
    assert "copies" not in rows[0]
    assert manifest.read(path) == old


def test_targets_keep_their_names_and_bits(tmp_path):
    path = tmp_path / "manifest.csv"
    written = Manifest((Clip("a", "x.wav", targets=(0.1, -1e-17)),), ("snr", "pitch"))
    manifest.write(path, written)
    assert manifest.read(path) == written


def test_equal_manifests_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        manifest.write(tmp_path / name, Manifest(CLIPS))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"does not exist; run `rehear fetch`"):
        manifest.read(tmp_path / "manifest.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "row 1: columns are missing"),
        ("path,label\nx,y\n", "row 1: columns are path, label; expected clip, file"),
    ],
)
def test_other_columns_are_refused(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        manifest.read(tmp_path / "m.csv")


def test_a_broken_row_is_named(tmp_path):
    path = tmp_path / "m.csv"
    manifest.write(path, Manifest(CLIPS))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], "only,three,cells"]))
    with pytest.raises(DataError, match="row 3: 3 cells, expected 14"):
        manifest.read(path)
    path.write_text("\n".join([lines[0], lines[1].replace("0.0", "long", 1)]))
    with pytest.raises(DataError, match="row 2: could not convert string to float"):
        manifest.read(path)


@pytest.mark.parametrize("cell", [b"caf\xe9", b"x" * 200_000], ids=["latin", "huge"])
def test_what_is_no_csv_in_utf8_is_an_error_that_names_the_row(tmp_path, cell):
    path = tmp_path / "m.csv"
    manifest.write(path, Manifest(CLIPS))
    path.write_bytes(path.read_bytes().replace(b"dog", cell))
    with pytest.raises(DataError, match=r"m\.csv row \d.*not CSV in UTF-8"):
        manifest.read(path)


def test_byte_order_mark_is_passed_over(tmp_path):
    path = tmp_path / "m.csv"
    manifest.write(path, Manifest(CLIPS))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert manifest.read(path) == Manifest(CLIPS)
