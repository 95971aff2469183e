"""Recordings that libsndfile cannot decode."""

import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

import numpy as np
import pytest

from rehear import audio, ffmpeg, inputs
from rehear.errors import AudioError

RATE = 16000
LOSSLESS = {"wv": "WavPack", "tta": "True Audio", "alac.m4a": "MP4"}
LOSSY = {
    "m4a": "MP4",
    "mov": "MP4",
    "mp4": "MP4",
    "aac": "AAC",
    "wma": "Windows Media",
    "mka": "Matroska or WebM",
    "webm": "Matroska or WebM",
    "ac3": "AC-3",
}
ARGUMENTS = {
    "alac.m4a": ["-c:a", "alac"],
    "mka": ["-c:a", "aac"],
    "webm": ["-c:a", "libopus", "-ar", "48000"],
    "ac3": ["-ar", "48000"],
}


@pytest.fixture(autouse=True)
def installed():
    """Forget what earlier tests found out about ffmpeg."""
    known = (ffmpeg.program, ffmpeg.version, ffmpeg._decoded)
    for cached in known:
        cached.cache_clear()
    if not ffmpeg.program():
        pytest.skip("no ffmpeg; pip install 'rehear[ffmpeg]'")
    yield
    for cached in known:
        cached.cache_clear()


def sound(samples=20000, channels=1):
    """A tone whose pitch rises, with some noise, in 16 bits."""
    t = np.arange(samples) / RATE
    tones = [np.sin(2 * np.pi * (200 + 500 * t) * t + c) for c in range(channels)]
    noise = np.random.default_rng(0).normal(0, 0.01, (channels, samples))
    scaled = np.rint((0.3 * np.array(tones) + noise) * 32768)
    return (scaled / 32768).astype(np.float32)


def call(*arguments):
    command = [ffmpeg.program(), "-v", "error", "-nostdin", "-y", *arguments]
    subprocess.run(command, check=True, timeout=60)


def encoded(folder, ending, waveform=None, *more):
    """Write a recording with ffmpeg, return its path."""
    audio.write(folder / "source.wav", sound() if waveform is None else waveform, RATE)
    path = folder / f"a.{ending}"
    call("-i", folder / "source.wav", *ARGUMENTS.get(ending, ()), *more, path)
    return path


def raw(path):
    """Decode a whole file with ffmpeg, without a container: ``(samples,)``."""
    command = [ffmpeg.program(), "-v", "error", "-i", path, "-f", "f32le", "-"]
    done = subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE)
    return np.frombuffer(done.stdout, "<f4")


def packed(path, kind):
    """Put a file into an archive, return its member."""
    archive = path.parent / f"packed.{kind.removeprefix('stored.')}"
    if kind == "tar":
        with tarfile.open(archive, "w") as tar:
            tar.add(path, f"clips/{path.name}")
    else:
        with zipfile.ZipFile(archive, "w", 0 if kind == "stored.zip" else 8) as zipped:
            zipped.write(path, f"clips/{path.name}")
    return f"{archive}::clips/{path.name}"


def no_ffmpeg(monkeypatch):
    monkeypatch.setattr(ffmpeg, "program", lambda: "")
    ffmpeg.version.cache_clear()


@pytest.mark.parametrize("ending", [*LOSSLESS, *LOSSY])
def test_recording_is_decoded(tmp_path, ending):
    path = encoded(tmp_path, ending)
    waveform, rate = audio.read(path)
    assert rate == (48000 if ending in ("webm", "ac3") else RATE)
    assert waveform.dtype == np.float32
    np.testing.assert_array_equal(waveform[0], raw(path))
    assert audio.facts(path) == audio.Facts(rate, 1, waveform.shape[1])
    assert ffmpeg.kind(path.read_bytes()[:64]) == (LOSSLESS | LOSSY)[ending]
    assert ffmpeg.is_for(path.name)
    expected = audio.resample(sound(), RATE, rate)[0]
    shared = min(len(expected), waveform.shape[1])
    assert abs(waveform.shape[1] - len(expected)) < 3 * 1024
    if ending in LOSSLESS:
        np.testing.assert_array_equal(waveform, sound())
    elif ending in ("m4a", "mov", "mp4"):
        # These say where the sound begins; others begin with the coder's delay.
        agreement = np.corrcoef(waveform[0, :shared], expected[:shared])[0, 1]
        assert agreement > 0.99


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_channels_keep_their_order(tmp_path, channels):
    waveform = sound(channels=channels)
    got, rate = audio.read(encoded(tmp_path, "wv", waveform))
    assert rate == RATE
    np.testing.assert_array_equal(got, waveform)


@pytest.mark.parametrize("kind", ["tar", "zip", "stored.zip"])
@pytest.mark.parametrize("place", ["index at the end", "index at the beginning"])
def test_member_of_an_archive_is_read_like_the_file(tmp_path, kind, place):
    more = ["-movflags", "+faststart"] if "beginning" in place else []
    path = encoded(tmp_path, "m4a", None, *more)
    data = path.read_bytes()
    assert (data.index(b"moov") < data.index(b"mdat")) == bool(more)
    member = packed(path, kind)
    expected, _ = audio.read(path)
    for part in ((), (0.5,), (0.25, 0.75)):
        got, _ = audio.read(member, *part)
        first, last = (round(s * RATE) for s in (*part, 99, 99)[:2])
        first = first if part else 0
        np.testing.assert_array_equal(got, expected[:, first:last])
    assert audio.facts(member) == audio.facts(path)


@pytest.mark.parametrize("ending", [*LOSSLESS, *LOSSY])
def test_part_is_that_of_the_whole_to_the_sample(tmp_path, ending):
    path = encoded(tmp_path, ending, sound(50000))
    whole, rate = audio.read(path)
    for start, end in ((0.1, 0.2), (1.00003, 2.00004), (2.5, None), (None, 0.01)):
        part, _ = inputs.read(path, start, end)
        first = round((start or 0) * rate)
        last = None if end is None else round(end * rate)
        np.testing.assert_array_equal(part, whole[:, first:last])
    late, _ = audio.read(path, 1, 99)
    np.testing.assert_array_equal(late, whole[:, rate:])
    with pytest.raises(AudioError, match="start 99 s lies outside"):
        audio.read(path, 99)


def test_consecutive_parts_are_decoded_once(tmp_path, monkeypatch):
    path, runs = encoded(tmp_path, "m4a"), []
    run = ffmpeg._run
    monkeypatch.setattr(ffmpeg, "_run", lambda *given: runs.append(1) or run(*given))
    audio.facts(path)
    for start in (0, 0.2, 0.4):
        audio.read(path, start, start + 0.2)
    assert len(runs) == 1
    encoded(tmp_path, "m4a", sound() / 10)
    os.utime(path, ns=(1, 1))
    assert np.abs(audio.read(path)[0]).max() < 0.1
    assert len(runs) == 2


def test_nothing_is_left_on_disk(tmp_path, monkeypatch):
    member = packed(encoded(tmp_path, "m4a"), "tar")
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    assert audio.read(member)[0].any()
    assert list((tmp_path / "scratch").iterdir()) == []


def film(folder, *tracks):
    """Write a film of a test picture, with further tracks."""
    picture = ["-f", "lavfi", "-i", "testsrc=size=64x64:duration=1"]
    call(*picture, *tracks, "-c:v", "mpeg4", folder / "film.mp4")
    return folder / "film.mp4"


def test_sound_of_a_film_is_read(tmp_path):
    path = encoded(tmp_path, "m4a", sound(2 * RATE, channels=2))
    joined = film(tmp_path, "-i", path, "-c:a", "copy")
    got, rate = audio.read(joined)
    assert (len(got), rate) == (2, RATE)
    expected, _ = audio.read(path)
    shared = slice(0, min(got.shape[1], expected.shape[1]))
    np.testing.assert_array_equal(got[:, shared], expected[:, shared])


def test_film_without_sound_is_refused(tmp_path):
    with pytest.raises(AudioError, match=r"film\.mp4: .*it has no sound track"):
        audio.read(film(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        *("-y.m4a", "-version.m4a", "http:x.m4a", "pipe:0.m4a", "concat:a|b.m4a"),
        *("a%03d.m4a", "a [x] 'y' \"z\".m4a", "two\nlines.m4a", "ü.m4a", "a::b.m4a"),
        "subfile,,start,0,end,9,,:x.m4a",
    ],
)
def test_name_is_no_option_and_no_address(tmp_path, monkeypatch, name):
    path = encoded(tmp_path, "m4a")
    expected, _ = audio.read(path)
    path.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(audio.read(name)[0], expected)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{path}'\n",
        "ffconcat version 1.0\nfile 'file:{path}'\n",
    ],
)
@pytest.mark.parametrize("ending", ["m4a", "ts", "mkv"])
def test_list_of_other_files_is_refused(tmp_path, text, ending):
    path = encoded(tmp_path, "aac")
    (tmp_path / f"list.{ending}").write_text(text.format(path=path))
    with pytest.raises(AudioError, match=rf"list\.{ending}: damaged, or no "):
        audio.read(tmp_path / f"list.{ending}")


# An AC-3 packet has no check sum that ffmpeg looks at by default.
BREAKABLE = [*LOSSLESS, "m4a", "mov", "aac", "wma", "mka", "webm"]


@pytest.mark.parametrize("ending", BREAKABLE)
@pytest.mark.parametrize("damage", ["truncated", "overwritten"])
def test_damaged_recording_is_refused(tmp_path, ending, damage):
    path = encoded(tmp_path, ending, sound(50000))
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        del data[len(data) * 2 // 3 :]
    else:
        stretch = slice(len(data) // 3, len(data) // 2)
        count = stretch.stop - stretch.start
        data[stretch] = np.random.default_rng(0).bytes(count)
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"a\.[\w.]+: damaged, or no ") as caught:
        audio.read(path)
    text = str(caught.value)
    assert f"ffmpeg {ffmpeg.version()} decodes (" in text
    assert "\n" not in text
    with pytest.raises(AudioError) as again:
        audio.read(path)
    assert str(again.value) == text  # without addresses in memory


def test_truncated_film_with_its_index_at_the_beginning_is_refused(tmp_path):
    path = encoded(tmp_path, "m4a", sound(50000), "-movflags", "+faststart")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(AudioError, match=r"a\.m4a: damaged, or no MP4 sound"):
        audio.read(path)


def test_format_is_told_by_content_before_the_ending(tmp_path, monkeypatch):
    path = encoded(tmp_path, "m4a")
    expected, _ = audio.read(path)
    path.rename(tmp_path / "phone.wav")
    np.testing.assert_array_equal(audio.read(tmp_path / "phone.wav")[0], expected)
    no_ffmpeg(monkeypatch)
    audio.write(tmp_path / "x.wav", sound(), RATE)
    (tmp_path / "x.wav").rename(tmp_path / "x.m4a")
    np.testing.assert_array_equal(audio.read(tmp_path / "x.m4a")[0], sound())


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.m4a", b"\0\0\0\x1cftypM4A ", "MP4"),
        ("a.wav", b"\0\0\0\x1cftypM4A ", "MP4"),
        ("a.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
        ("a.amr", b"#!AMR\n", "AMR"),
        ("a.mov", b"\0\0\0\x08wide", r"\.mov"),
    ],
)
def test_without_ffmpeg_the_error_says_what_to_install(
    tmp_path, monkeypatch, name, content, what
):
    no_ffmpeg(monkeypatch)
    (tmp_path / name).write_bytes(content + bytes(100))
    for look in (audio.read, audio.facts, inputs.read):
        with pytest.raises(
            AudioError, match=rf"{name}: is {what}, .*pip install 'rehear\[ffmpeg\]'"
        ):
            look(tmp_path / name)


def test_damaged_recording_of_another_kind_is_no_case_for_ffmpeg(
    recordings, tmp_path, monkeypatch
):
    def asked(*given):
        raise AssertionError("ffmpeg was asked")

    monkeypatch.setattr(ffmpeg, "opened", asked)
    folder = recordings / "edge_cases"
    for name in ("truncated_126.flac", "undecodable.mp3", "zero_bytes.wav"):
        with pytest.raises(AudioError, match=name):
            audio.read(folder / name)
    for name in ("s24_44k.wav", "vorbis_128kHz.ogg", "opus_48k.opus", "aac.m4a"):
        data = bytearray((folder / name).read_bytes())
        data[:16] = bytes(16)
        (tmp_path / name).write_bytes(data)
        expected = AssertionError if name == "aac.m4a" else AudioError
        with pytest.raises(expected):
            audio.read(tmp_path / name)


def fake(folder, body):
    """Write a program that calls itself ffmpeg, return its path."""
    path = folder / "ffmpeg"
    version = '[ "$1" = -version ] && echo "ffmpeg version 0.fake" && exit'
    path.write_text(f"#!/bin/sh\n{version}\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("exec sleep 60", "took longer than 0 s"),
        ("exit 3", "it ended with 3"),
        ("exit 0", "no samples"),
        ("echo '[x @ 0x5581] bad: thing.' >&2", r"\(bad: thing\)"),
    ],
)
def test_failure_of_the_program_is_an_error(tmp_path, monkeypatch, body, reason):
    path = encoded(tmp_path, "m4a")
    program = fake(tmp_path, body)
    monkeypatch.setattr(ffmpeg, "program", lambda: program)
    ffmpeg.version.cache_clear()
    assert ffmpeg.version() == "0.fake"
    monkeypatch.setattr(ffmpeg, "_QUICK", 0.3)
    with pytest.raises(AudioError, match=rf"a\.m4a: .*ffmpeg 0\.fake .*{reason}"):
        audio.read(path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_program_that_is_none_is_like_no_program(tmp_path, monkeypatch):
    (tmp_path / "ffmpeg").write_text("no program")
    for program in (tmp_path / "ffmpeg", tmp_path / "missing"):
        monkeypatch.setattr(ffmpeg, "program", lambda found=program: str(found))
        ffmpeg.version.cache_clear()
        assert ffmpeg.version() == ""


def test_program_of_the_locked_package_comes_first(monkeypatch):
    package = pytest.importorskip("imageio_ffmpeg")
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE", raising=False)
    ffmpeg.program.cache_clear()
    assert ffmpeg.program() == package.get_ffmpeg_exe()
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    ffmpeg.program.cache_clear()
    assert ffmpeg.program() == (shutil.which("ffmpeg") or "")
    monkeypatch.setenv("PATH", "")
    ffmpeg.program.cache_clear()
    assert ffmpeg.program() == ""


def test_version_is_asked_for_only_where_files_need_it(monkeypatch):
    monkeypatch.setattr(ffmpeg, "version", lambda: "9.9")
    assert ffmpeg.version_for(["a.wav", "b.zip::c.M4A"]) == "9.9"
    assert ffmpeg.version_for(["a.wav", "b.m4a/c.flac", "x.npy", ""]) == ""


def test_version_is_noted_once(tmp_path, caplog):
    path = encoded(tmp_path, "m4a")
    with caplog.at_level(logging.INFO, "rehear.ffmpeg"):
        audio.read(path)
        audio.read(path)
    assert [record.getMessage() for record in caplog.records] == [
        f"ffmpeg {ffmpeg.version()} decodes what libsndfile cannot"
    ]
    assert ffmpeg.version()[0] in "nN0123456789"
