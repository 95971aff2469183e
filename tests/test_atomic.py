"""Nothing half-written has its final name."""

import json
import os
import subprocess
import sys

import pytest

from rehear import atomic


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_keeps_the_old_content_when_writing_fails(tmp_path):
    target = tmp_path / "a.txt"
    atomic.write_text(target, "old")
    with pytest.raises(KeyboardInterrupt), atomic.file(target, "w") as stream:
        stream.write("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_folder_replaces_a_folder_with_files(tmp_path):
    target = tmp_path / "model"
    for text in ("one", "two"):
        with atomic.folder(target) as folder:
            (folder / "x").write_text(text)
            (folder / text).write_text(text)
    assert names(target) == ["two", "x"]
    assert (target / "x").read_text() == "two"
    assert names(tmp_path) == ["model"]


def test_folder_is_not_made_when_filling_fails(tmp_path):
    target = tmp_path / "model"
    with pytest.raises(ValueError, match="disk"), atomic.folder(target) as folder:
        (folder / "x").write_text("half")
        raise ValueError("disk")
    assert names(tmp_path) == []


def test_json_refuses_what_is_not_a_number(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(tmp_path / "a.json", {"uar": float("nan")})
    assert names(tmp_path) == []


def test_text_has_unix_line_ends_and_utf8(tmp_path):
    atomic.write_json(tmp_path / "a.json", {"größe": 1})
    data = (tmp_path / "a.json").read_bytes()
    assert "größe".encode() in data
    assert b"\r" not in data
    assert json.loads(data) == {"größe": 1}


@pytest.mark.skipif(os.name == "nt", reason="permissions differ on Windows")
def test_files_have_ordinary_permissions(tmp_path):
    atomic.write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_leftovers_of_killed_processes_go_and_others_stay(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stale = tmp_path / f".model.{ended.pid}.tmp"
    stale.mkdir()
    (stale / "weights").write_text("half")
    busy = tmp_path / ".model.1.tmp"
    busy.mkdir()
    foreign = tmp_path / ".model.backup.tmp"
    foreign.mkdir()
    with atomic.folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("whole")
    assert names(tmp_path) == [".model.1.tmp", ".model.backup.tmp", "model"]
