import gzip
import hashlib
import io
import subprocess
import tarfile
from collections import Counter

import pytest

from loopback import Page, serve
from rehear.datasets import DATASETS
from rehear.datasets.fsdd import RELEASES, FreeSpokenDigits, contents_digest
from rehear.errors import DataError, ParamsError
from rehear.published import CHECKSUMS, recorded

ARCHIVE = "fsdd-26eb9aa.tar.gz"
FOLDER = f"free-spoken-digit-dataset-{RELEASES['26eb9aa'].ref}"


def packed(files, extra=()):
    """Pack as the repository's server does, ``files`` by their path."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for entry in extra:
            tar.addfile(entry)
    return gzip.compress(stream.getvalue(), compresslevel=1, mtime=0)


@pytest.fixture(scope="module")
def files(recordings):
    audio = recordings / "fsdd" / "audio"
    found = {
        f"{FOLDER}/recordings/{path.name}": path.read_bytes()
        for path in sorted(audio.glob("*.wav"))
    }
    return {f"{FOLDER}/README.md": b"# FSDD", **found}


@pytest.fixture(scope="module")
def server(files):
    with serve() as loopback:
        loopback.pages[f"/true/{ARCHIVE}"] = Page(packed(files))
        yield loopback


@pytest.fixture
def fetch(server, tmp_path):
    def run(path="/true", **arguments):
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        part = FreeSpokenDigits(mirror=server.url + path, **arguments)
        return part.fetch(
            raw, task="classification", source=raw, downloads=tmp_path / "parts"
        )

    return run


def test_every_recording_is_a_clip(fetch, tmp_path):
    manifest = fetch()
    assert len(manifest) == 3000
    assert {clip.labels for clip in manifest} == {(str(d),) for d in range(10)}
    assert Counter(clip.group for clip in manifest).most_common()[-1][1] == 500
    assert all(clip.fold == clip.group for clip in manifest)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["fsdd-26eb9aa.tar"]
    assert all(clip.file.startswith("fsdd-26eb9aa.tar::") for clip in manifest)


def test_speaker_protocol_shares_no_voice(fetch):
    speakers = {}
    for clip in fetch():
        speakers.setdefault(clip.split, set()).add(clip.group)
    assert speakers == {
        "train": {"jackson", "yweweler", "george"},
        "dev": {"nicolas"},
        "test": {"theo", "lucas"},
    }


def test_official_protocol_is_the_one_of_the_authors(fetch, recordings):
    rows = (recordings / "fsdd" / "labels.csv").read_text().splitlines()[1:]
    published = {row.split(",")[0][6:-4]: row.split(",")[3] for row in rows}
    found = {clip.clip: clip.split for clip in fetch(split="official")}
    assert found == published


def test_contents_digest_is_what_sha256sum_prints(fetch, recordings, tmp_path):
    manifest = fetch()
    members = [clip.file.partition("::")[2] for clip in manifest]
    assert contents_digest(tmp_path / "raw" / "fsdd-26eb9aa.tar", members) == (
        RELEASES["26eb9aa"].contents
    )
    command = "LC_ALL=C sha256sum *.wav | sha256sum"
    shell = subprocess.run(
        command, shell=True, cwd=recordings / "fsdd" / "audio", capture_output=True
    )
    assert shell.stdout.decode().split()[0] == RELEASES["26eb9aa"].contents


def test_changed_recording_is_refused(fetch, server, files):
    name = f"{FOLDER}/recordings/7_theo_3.wav"
    changed = {**files, name: files[name][:-1] + b"\x55"}
    server.pages[f"/changed/{ARCHIVE}"] = Page(packed(changed))
    with pytest.raises(DataError, match="the recordings have the digest"):
        fetch("/changed")


def test_missing_recording_is_refused(fetch, server, files):
    fewer = {k: v for k, v in files.items() if not k.endswith("7_theo_3.wav")}
    server.pages[f"/fewer/{ARCHIVE}"] = Page(packed(fewer))
    with pytest.raises(DataError, match="holds 2999 recordings, expected 3000"):
        fetch("/fewer")


def test_archive_of_another_release_is_refused(fetch, server):
    other = server.pages[f"/true/{ARCHIVE}"].body
    server.pages["/other/fsdd-1.0.9.tar.gz"] = Page(other)
    with pytest.raises(DataError, match=r"expected 11,975,353"):
        fetch("/other", version="1.0.9")


def test_members_that_point_elsewhere_are_harmless(fetch, server, files, tmp_path):
    link = tarfile.TarInfo(f"{FOLDER}/recordings/9_theo_99.wav")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    escape = {f"../{FOLDER}/recordings/1_eve_0.wav": b"x", "/tmp/evil.wav": b"x"}
    server.pages[f"/evil/{ARCHIVE}"] = Page(packed({**files, **escape}, extra=[link]))
    manifest = fetch("/evil")
    assert len(manifest) == 3000
    assert not any("eve" in clip.file or "_99" in clip.file for clip in manifest)
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    kept = (".done", ".json", ".unchecked")  # of the download, beside each other
    assert {n for n in written if not n.endswith(kept) or n == CHECKSUMS} == {
        "fsdd-26eb9aa.tar",
        CHECKSUMS,
    }


def test_archive_packed_anew_is_the_same_data_set(
    fetch, server, files, tmp_path, caplog
):
    first = fetch()
    anew = gzip.compress(gzip.decompress(packed(files)), compresslevel=2, mtime=0)
    server.pages[f"/anew/{ARCHIVE}"] = Page(anew)
    assert fetch("/anew") == first
    assert "packs it anew" in caplog.text
    table = recorded(tmp_path / "parts" / CHECKSUMS)
    assert [entry["sha256"] for entry in table.values()] == [
        hashlib.sha256(anew).hexdigest()
    ]
    assert [*table] == [FreeSpokenDigits().remote.url]


def test_unknown_version_and_split_are_named():
    with pytest.raises(ParamsError, match=r"unknown version '1\.0\.8'.*1\.0\.9"):
        FreeSpokenDigits(version="1.0.8")
    with pytest.raises(ParamsError, match="unknown split 'oficial'.*'official'"):
        DATASETS.build({"name": "fsdd", "split": "oficial"})
