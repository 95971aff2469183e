"""Recordings in and out."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
import soundfile

from rehear import archives, audio
from rehear.errors import AudioError


def noise(samples=1000, channels=1, seed=0):
    draws = np.random.default_rng(seed).uniform(-0.9, 0.9, (channels, samples))
    return (np.rint(draws * 32768) / 32768).astype(np.float32)


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "noise.wav"
    audio.write(path, noise(), 8000)
    return path


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_write_then_read_gives_the_same_samples(tmp_path, ending, channels):
    waveform = noise(channels=channels)
    waveform[0, :2] = [-1, 32767 / 32768]
    audio.write(tmp_path / f"a.{ending}", waveform, 16000)
    again, rate = audio.read(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(again, waveform)
    assert rate == 16000


def test_write_clips_instead_of_wrapping(tmp_path):
    audio.write(tmp_path / "a.wav", np.array([[2.0, -2.0]]), 8000)
    waveform, _ = audio.read(tmp_path / "a.wav")
    np.testing.assert_array_equal(waveform, [[32767 / 32768, -1]])


def test_write_refuses_unknown_ending_and_leaves_nothing(tmp_path):
    with pytest.raises(AudioError, match=r"cannot be written.*use \.wav"):
        audio.write(tmp_path / "a.xyz", noise(), 8000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "opus"])
def test_part_equals_the_same_stretch_of_the_whole(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    audio.write(path, noise(48000) / 4, 48000)
    whole, _ = audio.read(path)
    part, _ = audio.read(path, 0.25, 0.5)
    assert part.shape == (1, 12000)
    # Lossy decoders differ in the last bit after a seek.
    tolerance = 0 if ending in ("wav", "flac") else 1e-6
    np.testing.assert_allclose(part, whole[:, 12000:24000], rtol=0, atol=tolerance)
    later, _ = audio.read(path, start=0.75)
    np.testing.assert_allclose(later, whole[:, 36000:], rtol=0, atol=tolerance)


def test_part_may_end_after_the_recording(wav):
    part, _ = audio.read(wav, 0.1, 99)
    assert part.shape == (1, 200)


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (0.125, None, "start 0.125 s lies outside its 0.125 s"),
        (-1.0, None, "start -1 s lies outside"),
        (0.1, 0.1, "leave no samples"),
        (0.1, 0.05, "leave no samples"),
        (None, 0.0, "leave no samples"),
    ],
)
def test_part_outside_is_refused(wav, start, end, reason):
    with pytest.raises(AudioError, match=reason):
        audio.read(wav, start, end)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path, value):
    samples = noise()[0]
    samples[7] = value
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: 1 of 1000 samples are NaN"):
        audio.read(tmp_path / "a.wav")


def test_truncated_wav_is_refused(wav):
    wav.write_bytes(wav.read_bytes()[:-500])
    with pytest.raises(AudioError, match="announces 2000 bytes of samples, but only"):
        audio.read(wav)
    with pytest.raises(AudioError, match="truncated"):
        audio.facts(wav)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wav_from_a_pipe_is_read_to_its_end(wav, size):
    data = bytearray(wav.read_bytes())
    data[40:44] = size.to_bytes(4, "little")
    wav.write_bytes(data)
    np.testing.assert_array_equal(audio.read(wav)[0], noise())


def test_wav_chunks_before_and_after_the_samples_are_skipped(wav):
    data = wav.read_bytes()
    odd = b"LIST\x03\x00\x00\x00abc\x00"  # padded to an even length
    junk = b"JUNK" + (40000).to_bytes(4, "little") + bytes(40000)
    wav.write_bytes(data[:12] + odd + junk + data[12:] + odd)
    np.testing.assert_array_equal(audio.read(wav)[0], noise())
    np.testing.assert_array_equal(audio.read(wav, 0.1)[0], noise()[:, 800:])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is not a file"),
        (lambda path: path.write_text("hello"), "not audio that can be decoded"),
        (lambda path: path.write_bytes(b"RIFF\0\0\0\0WAVEfmt "), "not audio"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, make, reason):
    path = tmp_path / "a.wav"
    make(path)
    with pytest.raises(AudioError, match=reason):
        audio.read(path)
    with pytest.raises(AudioError, match=reason):
        audio.facts(path)


@pytest.fixture(params=["tar", "zip", "stored.zip"])
def archive(tmp_path, request):
    path = tmp_path / f"a.{request.param}"
    files = {}
    for kind in ("wav", "flac", "ogg"):
        audio.write(tmp_path / f"x.{kind}", noise(20000), 16000)
        files[f"clips/x.{kind}"] = tmp_path / f"x.{kind}"
    if request.param == "tar":
        with tarfile.open(path, "w") as stream:
            for name, file in files.items():
                stream.add(file, name)
    else:
        deflated = request.param == "zip"
        with zipfile.ZipFile(path, "w", 8 if deflated else 0) as stream:
            for name, file in files.items():
                stream.write(file, name)
    return path


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
def test_member_of_an_archive_is_read_like_the_file(archive, tmp_path, kind):
    member = f"{archive}::clips/x.{kind}"
    expected, _ = audio.read(tmp_path / f"x.{kind}")
    np.testing.assert_array_equal(audio.read(member)[0], expected)
    np.testing.assert_array_equal(
        audio.read(member, 0.5, 0.75)[0], expected[:, 8000:12000]
    )
    assert audio.facts(member) == audio.facts(tmp_path / f"x.{kind}")


def test_members_of_an_archive_are_listed(archive):
    assert archives.members(archive) == [f"clips/x.{k}" for k in ("wav", "flac", "ogg")]


def test_unknown_member_is_refused_with_the_likely_one(archive):
    with pytest.raises(AudioError, match=r"no member 'clips/x\.wave'.*Did you mean"):
        audio.read(f"{archive}::clips/x.wave")


def test_changed_archive_is_read_anew(tmp_path):
    for seed in (0, 1):
        audio.write(tmp_path / "x.wav", noise(1000 + seed, seed=seed), 8000)
        with tarfile.open(tmp_path / "a.tar", "w") as stream:
            stream.add(tmp_path / "x.wav", f"{seed}.wav")
        read, _ = audio.read(tmp_path / f"a.tar::{seed}.wav")
        np.testing.assert_array_equal(read, noise(1000 + seed, seed=seed))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no.tar", "does not exist"),
        ("bad.tar", "the archive is damaged"),
        ("bad.zip", "the archive is damaged"),
        ("a.tar.gz", r"\.tar and \.zip only"),
    ],
)
def test_unusable_archive_is_refused(tmp_path, name, reason):
    if name != "no.tar":
        (tmp_path / name).write_bytes(b"not an archive" * 99)
    with pytest.raises(AudioError, match=reason):
        audio.read(f"{tmp_path / name}::x.wav")


def test_damaged_member_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("x.wav", bytes(range(256)) * 50)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[40:50] = b"\xff" * 10
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(AudioError, match="damaged"):
        audio.read(tmp_path / "a.zip::x.wav")


def test_file_with_the_separator_in_its_name_is_a_file(tmp_path):
    audio.write(tmp_path / "a::b.wav", noise(), 8000)
    assert audio.read(tmp_path / "a::b.wav")[0].shape == (1, 1000)


@pytest.mark.parametrize(("channels", "rate"), [(1, 8000), (2, 44100), (6, 96000)])
def test_mp3_can_be_played(channels, rate):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    data = audio.encode_mp3(np.tile(tone, (channels, 1)), rate)
    samples, played = soundfile.read(io.BytesIO(data), always_2d=True)
    assert played == min(rate, 48000)
    assert samples.shape[1] == min(channels, 2 if channels < 3 else 1)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.05)
