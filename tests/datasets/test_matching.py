import re

import pytest

from rehear.datasets import matching
from rehear.datasets.rows import Row
from rehear.errors import DataError, ParamsError


@pytest.fixture
def recordings(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"RIFF")
        return matching.Recordings(tmp_path)

    return make


def test_recordings_are_sorted_and_not_hidden(recordings):
    found = recordings("b.wav", "a/c.FLAC", ".git/x.wav", ".x.wav", "notes.txt")
    assert found.files == ["a/c.FLAC", "b.wav"]


@pytest.mark.parametrize(
    ("path", "near", "expected"),
    [
        ("a.wav", "x.txt", "p/a.wav"),
        ("A.WAV", "x.txt", "p/a.wav"),
        ("a.mp3", "x.txt", "p/a.wav"),
        ("D:\\field\\q\\b.wav", "x.txt", "q/b.wav"),
        ("/field/P/b.wav", "x.txt", "p/b.wav"),
        ("b.wav", "q/x.txt", "q/b.wav"),
        ("b.wav", "labels/p/x.txt", "p/b.wav"),
        ("/field/p/b.wav", "q/x.txt", "p/b.wav"),
        ("b", "q/x.txt", "q/b.wav"),
        ("s.1", "x.txt", "q/s.1.wav"),
        ("d", "p/x.txt", "p/d.wav"),
        ("d", "p/q/x.txt", "p/q/d.wav"),
        ("c.wav", "x.txt", ""),
    ],
)
def test_recording_that_a_table_means(recordings, path, near, expected):
    names = ("p/a.wav", "p/b.wav", "p/d.wav", "p/q/d.wav")
    found = recordings(*names, "q/b.wav", "q/s.1.wav", "q/s.wav")
    assert found.find(path, near=near, ending="." in path[-4:]) == expected


def test_name_without_ending_is_taken_as_it_is(recordings):
    found = recordings("s.1.wav", "s.wav")
    assert found.find("s.2", near="x.txt", ending=False) == ""
    assert found.find("s", near="x.txt", ending=False) == "s.wav"


def test_two_recordings_that_fit_are_named(recordings):
    found = recordings("p/a.wav", "p/a.flac")
    with pytest.raises(
        DataError, match=r"x\.txt: 'a' may be any of p/a\.flac, p/a\.wav"
    ):
        found.find("a", near="p/x.txt", ending=False)
    assert found.find("a.flac", near="p/x.txt") == "p/a.flac"


def test_tables_are_matched_whole(recordings, tmp_path):
    found = recordings("a.wav")
    for name in ("b.txt", "p/a_1.txt", "a_1.txt.bak"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert found.tables(re.compile(r"(.+)_1\.txt")) == [("p/a_1.txt", "a")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_and_their_numbers(tmp_path, end):
    path = tmp_path / "a.txt"
    lines = ["\ufeffx\t y ", "", '"a ""b"""\t"', "\t"]
    path.write_bytes(end.join(lines).encode())
    assert matching.read(path) == [
        (f"{path} row 1", ["x", "y"]),
        (f"{path} row 3", ['a "b"', '"']),
    ]


@pytest.mark.parametrize(("cell", "number"), [("1.5", 1.5), ("1,5", 1.5), ("-2", -2.0)])
def test_numbers_with_points_and_commas(cell, number):
    assert matching.number(Row("row", {"x": cell}), "x") == number


@pytest.mark.parametrize("cell", ["", "1,000,5", "1.000,5", "inf", "x"])
def test_other_cells_are_no_numbers(cell):
    with pytest.raises(DataError, match=f"row: '{cell}' in column 'x' is not a finite"):
        matching.number(Row("row", {"x": cell}), "x")


def test_expressions_need_parentheses():
    assert matching.pattern("group", "").groups == 0
    with pytest.raises(
        ParamsError, match="group: 'a' has no .* around what is the group"
    ):
        matching.pattern("group", "a")
    with pytest.raises(ParamsError, match=r"tables: '\[' is no regular expression"):
        matching.pattern("tables", "[")


def test_some_names_stand_for_many():
    assert matching.some("ab") == "a, b"
    assert matching.some("abcdefg") == "a, b, c, d, e and 2 more"
