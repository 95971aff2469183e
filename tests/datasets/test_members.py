import pytest

from packing import pack
from rehear import archives
from rehear.datasets import members
from rehear.errors import DataError


def test_recordings_are_found_by_their_names_in_all_archives(tmp_path):
    pack(tmp_path / "1.zip", {"set/audio/a.wav": b"A", "set/README.md": b""})
    pack(tmp_path / "2.zip", {"b.wav": b"B", "__MACOSX/._b.wav": b"", "c.txt": b""})
    found = members.recordings([tmp_path / "1.zip", tmp_path / "2.zip"])
    assert found == {"a.wav": "1.zip::set/audio/a.wav", "b.wav": "2.zip::b.wav"}
    assert archives.locate(tmp_path / found["b.wav"]).read(0, 1) == b"B"


def test_recording_that_is_there_twice_is_refused(tmp_path):
    for name in ("1.zip", "2.zip"):
        pack(tmp_path / name, {"audio/a.wav": b""})
    with pytest.raises(DataError, match=r"1\.zip::audio/a\.wav and 2\.zip.*'a\.wav'"):
        members.recordings([tmp_path / "1.zip", tmp_path / "2.zip"])


def test_table_is_found_by_whole_names(tmp_path):
    pack(tmp_path / "m.zip", {"x/meta.csv": b"1", "x/old-meta.csv": b"2"})
    place = members.table(tmp_path / "m.zip", "meta.csv")
    assert archives.locate(place).read(0, 1) == b"1"
    assert place.endswith("m.zip::x/meta.csv")


@pytest.mark.parametrize(
    ("files", "count"),
    [({"x/a.csv": b""}, "no"), ({"a/meta.csv": b"", "meta.csv": b""}, "2")],
)
def test_table_must_be_there_once(tmp_path, files, count):
    pack(tmp_path / "m.zip", files)
    with pytest.raises(DataError, match=f"holds {count} files called meta.csv"):
        members.table(tmp_path / "m.zip", "meta.csv")
