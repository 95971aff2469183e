import io
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import zipfile
import zlib

import numpy as np
import pytest

from rehear import archives, contents
from rehear.errors import AudioError

OUTSIDE = [
    "a\nb",
    "../a",
    "/a",
    "a/../../b",
    "..",
    "C:\\a",
    "C:/a",
    "a\\b",
    "\\\\host\\a",
]


def content(archive, member):
    source = archives.locate(f"{archive}::{member}")
    return source.read(0, source.size)


def entry_of(name, data=b"", **fields):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


def tar(path, files, extra=(), **options):
    with tarfile.open(path, "w", **options) as archive:
        for name, data in files:
            archive.addfile(entry_of(name, data), io.BytesIO(data))
        for entry in extra:
            archive.addfile(entry)
    return path


def zipped(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return path


PACK = {"a.tar": tar, "a.zip": zipped}


@pytest.fixture(params=PACK)
def pack(request, tmp_path):
    """Pack files in either way."""
    return lambda files: PACK[request.param](tmp_path / request.param, files)


def unix(name, mode):
    """Return a zip entry as Info-ZIP writes it on Unix."""
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, mode << 16
    return entry


# --- what is listed ---


def test_files_are_listed_in_order_with_their_folders(pack):
    files = [("z.wav", b"1"), ("b/c/d.wav", b"22"), ("b/a.wav", b"")]
    archive = pack(files)
    assert archives.members(archive) == [name for name, _ in files]
    assert [content(archive, name) for name, _ in files] == [data for _, data in files]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_outside_are_left_out(pack, name, tmp_path):
    archive = pack([("a.wav", b"1"), (name, b"evil")])
    assert archives.members(archive) == ["a.wav"]
    with pytest.raises(AudioError, match="has no member"):
        content(archive, name)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize(
    "name", ["..a", "a..b/c", "a/..b", "...", "ab:c", "./a", "ü 1"]
)
def test_names_that_only_look_like_it_are_kept(pack, name):
    archive = pack([(name, b"1")])
    assert archives.members(archive) == [name]
    assert content(archive, name) == b"1"


@pytest.mark.parametrize(
    "kind",
    ["SYMTYPE", "LNKTYPE", "CHRTYPE", "BLKTYPE", "FIFOTYPE", "DIRTYPE"],
)
def test_what_is_no_file_in_a_tar_is_left_out(tmp_path, kind):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    entry = entry_of("link.wav", type=getattr(tarfile, kind), linkname=str(secret))
    archive = tar(tmp_path / "a.tar", [("a.wav", b"1")], extra=[entry])
    assert archives.members(archive) == ["a.wav"]
    with pytest.raises(AudioError, match=r"has no member 'link\.wav'"):
        content(archive, "link.wav")


@pytest.mark.parametrize(
    "mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFDIR]
)
def test_what_is_no_file_in_a_zip_is_left_out(tmp_path, mode):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr(unix("a.wav", stat.S_IFREG | 0o644), b"1")
        stream.writestr(unix("link.wav", mode | 0o777), b"/etc/passwd")
        stream.writestr("folder/", b"")
    assert archives.members(archive) == ["a.wav"]
    with pytest.raises(AudioError, match=r"has no member 'link\.wav'"):
        content(archive, "link.wav")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_one_name_the_last_counts_as_when_unpacked(pack):
    archive = pack([("a.wav", b"old"), ("b.wav", b"b"), ("a.wav", b"new")])
    assert sorted(archives.members(archive)) == ["a.wav", "b.wav"]
    assert content(archive, "a.wav") == b"new"
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as stream:
            assert stream.read("a.wav") == b"new"
    else:
        with tarfile.open(archive) as stream:
            assert stream.extractfile("a.wav").read() == b"new"


def test_file_that_a_link_replaces_is_gone(tmp_path):
    link = entry_of("a.wav", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    archive = tar(tmp_path / "a.tar", [("a.wav", b"1")], extra=[link])
    assert archives.members(archive) == []


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_of_tar(tmp_path, form):
    files = [(f"{'long/' * 60}ä{n}.wav", bytes([n])) for n in range(3)]
    archive = tar(tmp_path / "a.tar", files, format=form)
    assert [(name, content(archive, name)) for name in archives.members(archive)] == (
        files
    )


@pytest.mark.parametrize("form", ["v7", "ustar", "gnu", "posix", "oldgnu"])
def test_tar_of_another_program(tmp_path, form):
    program = shutil.which("tar")
    if program is None:
        pytest.skip("there is no tar")
    (tmp_path / "in" / "b").mkdir(parents=True)
    files = {"b/a.wav": os.urandom(5000), "c.wav": b""}
    for name, data in files.items():
        (tmp_path / "in" / name).write_bytes(data)
    archive = tmp_path / "a.tar"
    command = [program, f"--format={form}", "-cf", archive, "-C", tmp_path / "in", "."]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip(f"this tar does not know {form}")
    assert {name: content(archive, name) for name in archives.members(archive)} == {
        f"./{name}": data for name, data in files.items()
    }


def test_zip64_and_data_descriptors(tmp_path):
    """As written to a pipe, where sizes are known only after the data."""
    stream = Pipe()
    files = [(f"{n}.wav", os.urandom(1000) * n) for n in range(3)]
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, data) in enumerate(files):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED][number % 2]
            with archive.open(entry, "w", force_zip64=True) as out:
                out.write(data)
    data = stream.getvalue()
    assert data[6] & 8, "it has no data descriptors"
    (tmp_path / "a.zip").write_bytes(data)
    assert [(n, content(tmp_path / "a.zip", n)) for n, _ in files] == files


class Pipe(io.BytesIO):
    def seekable(self):
        return False

    def tell(self):
        raise OSError

    def seek(self, *_):
        raise OSError


def test_zip_behind_other_bytes(tmp_path):
    """A self-extracting archive."""
    zipped(tmp_path / "a.zip", [("a.wav", b"abc" * 99)])
    data = b"#!/bin/sh\n" + (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data)
    assert content(tmp_path / "a.zip", "a.wav") == b"abc" * 99


def test_many_files_in_a_zip(tmp_path):
    """More than 65,535, which needs zip64."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(66_000):
            archive.writestr(zipfile.ZipInfo(f"{number}.wav"), b"%d" % number)
    assert len(archives.members(path)) == 66_000
    assert content(path, "65999.wav") == b"65999"


# --- bombs ---


def test_zip_bomb_is_refused_by_what_it_announces(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "FLOOR", 1 << 20)
    files = [("bomb.wav", bytes((1 << 20) + 1)), ("silence.wav", bytes(1 << 20))]
    archive = zipped(tmp_path / "a.zip", files)
    with pytest.raises(
        AudioError, match=r"bomb\.wav: 1,048,577 bytes would come out of 1,0\d\d; refus"
    ):
        content(archive, "bomb.wav")
    assert content(archive, "silence.wav") == bytes(1 << 20)


def test_file_beyond_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "LARGEST", 5000)
    archive = zipped(tmp_path / "a.zip", [("a.wav", os.urandom(5001))])
    with pytest.raises(AudioError, match="5,001 bytes would come out"):
        content(archive, "a.wav")


def patched(archive, member, field, value):
    """Overwrite a field of an entry in the central directory of a zip."""
    data = bytearray(archive.read_bytes())
    place = {"flags": 8, "method": 10, "crc": 16, "packed": 20, "size": 24, "at": 42}
    width = 2 if field in ("flags", "method") else 4
    start = data.rindex(member.encode(), 0, len(data)) - 46 + place[field]
    data[start : start + width] = value.to_bytes(width, "little")
    archive.write_bytes(data)
    return archive


@pytest.mark.parametrize("announced", [1, 299_999, 300_001, 60 << 20])
def test_more_or_less_than_announced_is_refused(tmp_path, announced):
    archive = zipped(tmp_path / "a.zip", [("a.wav", b"abc" * 100_000)])
    patched(archive, "a.wav", "size", announced)
    with pytest.raises(AudioError, match=r"damaged \((more|300,000 bytes) came out"):
        content(archive, "a.wav")


def test_inflating_stops_at_what_is_announced(tmp_path):
    import tracemalloc

    archive = zipped(tmp_path / "a.zip", [("a.wav", bytes(200 << 20))])
    patched(archive, "a.wav", "size", 1000)
    tracemalloc.start()
    with pytest.raises(AudioError, match="more came out"):
        content(archive, "a.wav")
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


# --- damage ---


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_flipped_bit_in_a_zip_is_found(tmp_path, method):
    data = np.random.default_rng(1).integers(0, 9, 9000).astype(np.uint8).tobytes()
    archive = zipped(tmp_path / "a.zip", [("a.wav", data)], method)
    assert content(archive, "a.wav") == data
    raw = bytearray(archive.read_bytes())
    raw[2000] ^= 1
    archive.write_bytes(raw)
    with pytest.raises(AudioError, match=r"a\.wav: the archive is damaged .*fetch it"):
        content(archive, "a.wav")


def test_part_of_a_stored_file_is_read_without_the_rest(tmp_path):
    archive = zipped(tmp_path / "a.zip", [("a.wav", b"0123456789")], zipfile.ZIP_STORED)
    source = archives.locate(f"{archive}::a.wav")
    assert source.read(3, 4) == b"3456"
    assert source.read(8, 99) == b"89"
    assert zlib.crc32(source.read(0, 10)) == source.crc


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("flags", 1, "it is encrypted"),
        ("method", 12, "in a way other than deflate"),
        ("method", 99, "in a way other than deflate"),
        ("method", 0, "contradicts itself"),
        ("at", 5, "does not begin where the directory says"),
        ("at", 1 << 30, "does not begin where the directory says"),
        ("crc", 7, "do not have the CRC-32"),
        ("packed", 1, "came out of it"),
    ],
)
def test_one_bad_entry_does_not_spoil_the_others(tmp_path, field, value, said):
    files = [("a.wav", b"abc" * 999), ("b.wav", b"1")]
    archive = patched(zipped(tmp_path / "a.zip", files), "a.wav", field, value)
    assert archives.members(archive) == ["a.wav", "b.wav"]
    with pytest.raises(AudioError, match=rf"a\.wav.*{said}") as caught:
        content(archive, "a.wav")
    assert "\n" not in str(caught.value)
    assert content(archive, "b.wav") == b"1"


def test_encrypted_zip_of_another_program(tmp_path):
    if shutil.which("zip") is None:
        pytest.skip("there is no zip")
    (tmp_path / "a.wav").write_bytes(b"secret")
    command = ["zip", "-q", "-P", "password", "a.zip", "a.wav"]
    subprocess.run(command, cwd=tmp_path, check=True)
    with pytest.raises(AudioError, match=r"a\.zip::a\.wav: it is encrypted; unpack"):
        content(tmp_path / "a.zip", "a.wav")


def test_file_with_holes_is_refused(tmp_path):
    program = shutil.which("tar")
    with (tmp_path / "a.wav").open("wb") as stream:
        stream.write(b"begin")
        stream.seek(1 << 20)
        stream.write(b"end")
    command = [program or "", "--sparse", "-cf", "a.tar", "a.wav"]
    if program is None or subprocess.run(command, cwd=tmp_path).returncode:
        pytest.skip("no tar that packs holes")
    with tarfile.open(tmp_path / "a.tar") as archive:
        if archive.getmember("a.wav").sparse is None:
            pytest.skip("no holes on this disk")
    with pytest.raises(AudioError, match="stored with holes; pack the archive again"):
        content(tmp_path / "a.tar", "a.wav")


@pytest.mark.parametrize("keep", [0, 100, 512, 1500, 2047, 2048, 2560, 3000])
def test_truncated_tar_is_refused(tmp_path, keep):
    """Two files of 1000 bytes: header, data, header, data, end, at blocks of 512."""
    files = [("a.wav", bytes(range(250)) * 4), ("b.wav", b"x" * 500)]
    archive = tar(tmp_path / "a.tar", files)
    assert archives.members(archive) == ["a.wav", "b.wav"]
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(AudioError, match=r"a\.tar: the archive is damaged.*fetch it"):
        archives.members(archive)


def test_damaged_header_does_not_end_the_list_quietly(tmp_path):
    archive = tar(tmp_path / "a.tar", [(f"{n}.wav", b"1") for n in range(5)])
    data = bytearray(archive.read_bytes())
    data[2 * 1024 + 10] ^= 1
    archive.write_bytes(data)
    # The module itself sees two of five files, and no error.
    with tarfile.open(archive) as stream:
        assert len(stream.getnames()) == 2
    with pytest.raises(AudioError, match=r"no entry, .* at byte 2,048"):
        archives.members(archive)


@pytest.mark.parametrize("keep", [0, 10, 500, 1000, -1, -30])
def test_truncated_zip_is_refused(tmp_path, keep):
    files = [(f"{n}.wav", os.urandom(500)) for n in range(3)]
    archive = zipped(tmp_path / "a.zip", files)
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(AudioError, match=r"a\.zip: the archive is damaged.*fetch it"):
        archives.members(archive)


@pytest.mark.parametrize("kind", PACK)
def test_random_damage_gives_errors_of_one_kind(tmp_path, kind):
    files = [(f"{'d/' * 60}{n}.wav", b"abc" * 50 * n) for n in range(6)]
    good = PACK[kind](tmp_path / kind, files).read_bytes()
    draws = np.random.default_rng(7)
    outcomes = set()
    for trial in range(400):
        data = bytearray(good)
        for place in draws.integers(0, len(data), 1 + trial % 8):
            data[place] = draws.integers(256)
        archive = tmp_path / f"{trial}{kind}"
        archive.write_bytes(data)
        outcomes |= {outcome(archive)}
        archive.unlink()
    assert {text.partition(" ")[0] for text in outcomes} == {"read", "refused"}
    assert not any("\n" in text for text in outcomes)


def outcome(archive):
    try:
        for name in archives.members(archive):
            content(archive, name)
    except AudioError as error:
        return f"refused {error}"
    return "read"


def test_numbers_in_the_end_record_are_not_believed(tmp_path):
    archive = zipped(tmp_path / "a.zip", [("a.wav", b"1")])
    data = bytearray(archive.read_bytes())
    data[-10:-6] = struct.pack("<L", 0xFFFFFFF0)  # size of the directory
    archive.write_bytes(data)
    with pytest.raises(AudioError, match="the archive is damaged"):
        archives.members(archive)
