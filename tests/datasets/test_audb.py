import hashlib
import json
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

import databases
from rehear import archives, manifest, paths
from rehear.catalogue import Catalogue
from rehear.errors import DataError, ParamsError
from rehear.params import Params, Part
from rehear.stages import fetch as stage

audformat = databases.audformat
audb = pytest.importorskip("audb", reason="needs the extra audb")
audbackend = pytest.importorskip("audbackend")
# The libraries use what pandas will give up.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
PARTS = Catalogue("data set", {"audb": "rehear.datasets.audb:Audb"})
EMOTION = {"label": "emotion", "group": "speaker"}


@pytest.fixture(scope="module")
def published(recordings, tmp_path_factory):
    """A repository with two versions of a real database, its address, its rows."""
    host = tmp_path_factory.mktemp("host")
    root = tmp_path_factory.mktemp("made") / "db"
    rows = databases.emotional_speech(root, recordings)
    audbackend.backend.FileSystem.create(str(host), "lab")
    repository = audb.Repository("lab", str(host), "file-system")
    cache = str(tmp_path_factory.mktemp("cache"))
    given = {"cache_root": cache, "verbose": False}
    archives = {row["file"]: "all" for row in rows[:5]}
    audb.publish(str(root), "1.0.0", repository, archives=archives, **given)
    database = audformat.Database.load(str(root))
    database.description = "Changed"
    database.save(str(root))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audb.config, "REPOSITORIES", [repository])
        audb.publish(str(root), "1.1.0", **given)
    return f"file://{host}/lab", root, rows


@pytest.fixture
def fetch(published, tmp_path):
    def run(*, task="classification", raw=tmp_path / "raw", **arguments):
        given = {"database": "emotions", "version": "1.0.0", "columns": EMOTION}
        given |= {"repository": published[0], **arguments}
        part = PARTS.build({"name": "audb", **given})
        raw.mkdir(exist_ok=True)
        downloads = tmp_path / "downloads"
        downloads.mkdir(exist_ok=True)
        return part.fetch(raw, task=task, source=raw, downloads=downloads)

    return run


def test_published_database_is_what_was_made(fetch, published, tmp_path):
    _, root, rows = published
    found = fetch(attributes=["gender"])
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["media.tar"]
    assert {
        clip.clip: (clip.labels[0], clip.group, clip.split, *clip.attributes)
        for clip in found
    } == {
        row["file"]: (
            *(row["label"], row["speaker"]),
            "train" if row["split"] == "train" else "test",
            row["gender"],
        )
        for row in rows
    }
    for clip in found:
        assert clip.file == f"media.tar::{clip.clip}"
        packed = archives.locate(tmp_path / "raw" / clip.file)
        assert packed.read(0, packed.size) == (root / clip.clip).read_bytes()


def test_archive_is_always_the_same(fetch, tmp_path):
    digests = set()
    for name in ("one", "two"):
        shutil.rmtree(tmp_path / "downloads", ignore_errors=True)
        fetch(raw=tmp_path / name)
        packed = (tmp_path / name / "media.tar").read_bytes()
        digests.add(hashlib.sha256(packed).hexdigest())
    assert len(digests) == 1
    with tarfile.open(tmp_path / "one" / "media.tar") as tar:
        entries = tar.getmembers()
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    assert {(e.mtime, e.uid, e.gid, e.uname, e.mode) for e in entries} == {
        (0, 0, 0, "", 0o644)
    }


def test_only_what_is_needed_is_loaded(fetch, published, tmp_path):
    rows = published[2]
    train = {row["file"] for row in rows if row["split"] == "train"}
    found = fetch(tables="emotion.train", media=r"[13579][ab]\d+")
    wanted = {file for file in train if file[file.index("/") + 2] in "13579"}
    assert {clip.clip for clip in found} == wanted
    cached = (tmp_path / "downloads").rglob("*.wav")
    assert {path.name for path in cached} == {Path(file).name for file in wanted}


def test_nothing_outside_of_the_study_is_touched(fetch, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    before = audb.config.REPOSITORIES
    fetch()
    with pytest.raises(DataError):
        fetch(version="9.0.0")
    assert audb.config.REPOSITORIES is before
    assert list(home.iterdir()) == []


def test_version_has_to_be_named(fetch):
    with pytest.raises(
        ParamsError, match=r"dataset\.version: .* 'emotions' is 1\.1\.0"
    ):
        fetch(version="")


def test_unknown_version(fetch):
    message = r"'emotions' has no version '1\.0\.1'\..*There are: 1\.0\.0, 1\.1\.0"
    with pytest.raises(DataError, match=message):
        fetch(version="1.0.1")


def test_unknown_database(fetch):
    with pytest.raises(
        DataError, match=r"no database 'emotion'\. Did you mean 'emotions'"
    ):
        fetch(database="emotion")


@pytest.mark.parametrize("name", ["", "my emotions", "../emotions"])
def test_database_has_to_be_named(fetch, name):
    with pytest.raises(ParamsError, match=r"dataset\.database: '.*' names none"):
        fetch(database=name)


def test_repository_that_is_not_there(fetch, tmp_path):
    with pytest.raises(
        DataError, match=r"no answer from lab on .*nowhere, where 'emot"
    ):
        fetch(repository=f"file://{tmp_path}/nowhere/lab")


@pytest.mark.parametrize("address", ["/srv/audb/lab", "ftp://host/lab", "file://lab"])
def test_repository_that_is_none(fetch, address):
    with pytest.raises(ParamsError, match=f"'{address}' is none; expected file:///"):
        fetch(repository=address)


def test_media_that_fit_nothing(fetch):
    with pytest.raises(
        DataError, match=r"dataset\.media: 'x\$' finds none of \d+ files"
    ):
        fetch(media="x$")
    with pytest.raises(ParamsError, match="'\\(' is no regular expression"):
        fetch(media="(")


def test_damaged_recording_is_loaded_again(fetch, tmp_path):
    fetch()
    first = min((tmp_path / "downloads").rglob("*.wav"))
    first.write_bytes(first.read_bytes()[:-2] + b"xx")
    (tmp_path / "raw" / "media.tar").unlink()
    with pytest.raises(
        DataError, match=rf"'{first.name}' has MD5 .*removed: run it again"
    ):
        fetch()
    assert list((tmp_path / "raw").iterdir()) == []
    assert len(fetch()) > 10


def test_missing_file_in_the_repository(fetch, published, tmp_path):
    host = tmp_path / "copy"
    shutil.copytree(published[0].removeprefix("file://"), host / "lab")
    media = sorted((host / "lab" / "emotions" / "media").rglob("*.zip"))
    media[-1].unlink()
    with pytest.raises(
        DataError, match=r"emotions 1\.0\.0 could not be loaded \(\w+Error: .*[.]zip"
    ):
        fetch(repository=f"file://{host}/lab")
    assert not (tmp_path / "raw" / "media.tar").exists()


def test_header_that_runs_code_is_refused(fetch, published, tmp_path):
    host = tmp_path / "copy"
    shutil.copytree(published[0].removeprefix("file://"), host / "lab")
    header = host / "lab" / "emotions" / "1.0.0" / "db.yaml"
    with header.open("a") as stream:
        stream.write(f"\nmeta: !!python/object/apply:os.mkdir ['{tmp_path}/trap']\n")
    with pytest.raises(DataError, match="could run code"):
        fetch(repository=f"file://{host}/lab")
    assert not (tmp_path / "trap").exists()


def test_missing_library_is_named(fetch, monkeypatch):
    monkeypatch.setitem(sys.modules, "audb", None)
    with pytest.raises(ParamsError, match=r"pip install 'rehear\[audb\]'"):
        fetch()


def test_stage_fetches_by_name_and_version(published, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "DATASETS", PARTS)
    part = Part(
        name="audb",
        database="emotions",
        version="1.1.0",
        repository=published[0],
        columns={"group": "speaker"},
        targets=["recognition"],
    )
    params = Params(task=Part(name="regression"), dataset=part)
    stage.run(params, tmp_path, processes=1)
    found = manifest.read(tmp_path / "data" / "manifest.csv")
    assert found.targets == ("recognition",)
    assert {clip.file.partition("::")[0] for clip in found} == {"data/raw/media.tar"}
    raw = tmp_path / "data" / "raw"
    assert [path.name for path in raw.iterdir()] == ["media.tar"]
    assert not (tmp_path / paths.DOWNLOADS).exists()
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    assert card["title"] == "emotions 1.1.0"
    assert card["licence"].startswith("CC0-1.0")
