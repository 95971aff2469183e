"""Awkward recordings: each is read rightly, or refused with its reason, everywhere."""

import csv
import json
import shutil
import subprocess
import tarfile
import zipfile

import numpy as np
import pytest
import soundfile

from rehear import audio, ffmpeg, inputs, manifest
from rehear.errors import AudioError, DataError
from rehear.params import Fetch, Params, Part
from rehear.stages import fetch

# Samples, rate in Hz, channels.
READ = {
    "alaw_8kHz.wav": (1945, 8000, 1),
    "flac_24bit.flac": (34984, 44100, 1),
    "mp3_in_wav.wav": (5184, 16000, 1),
    "opus_48k.opus": (11670, 48000, 1),
    "s24_44k.wav": (10722, 44100, 1),
    "six_channel.wav": (3890, 16000, 6),
    "stereo_float_48kHz.wav": (11670, 48000, 2),
    "u8_11025Hz.wav": (2681, 11025, 1),
    "very_short_19ms.flac": (857, 44100, 2),
    "vorbis_128kHz.ogg": (708856, 128000, 1),
    "wav_4000Hz.wav": (973, 4000, 1),
    "wav_500kHz.wav": (121563, 500000, 1),
}
# Older versions of ffmpeg leave the coder's padding at the end: 2,048 samples.
BY_FFMPEG = {"aac.m4a": (1945, 8000, 1)}
REFUSED = {
    "truncated_126.flac": "lost sync",
    "truncated_142.flac": "flac decoder",
    "truncated_144.flac": "lost sync",
    "empty_0_frames.wav": "holds no samples",
    "zero_bytes.wav": r"empty \(0 bytes\)",
    "undecodable.mp3": "no audio",
}
# All of these were made of this recording.
DIGIT = "3_theo_7.wav"
OF_THE_DIGIT = {
    *("alaw_8kHz.wav", "mp3_in_wav.wav", "opus_48k.opus", "s24_44k.wav", "aac.m4a"),
    *("six_channel.wav", "stereo_float_48kHz.wav", "u8_11025Hz.wav"),
    *("wav_4000Hz.wav", "wav_500kHz.wav"),
}
WAYS = ("file", "tar", "zip", "stored.zip")


@pytest.fixture(scope="module")
def folder(recordings):
    return recordings / "edge_cases"


@pytest.fixture(scope="module")
def listed(folder):
    with (folder / "index.csv").open() as stream:
        return [row["file"] for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def places(folder, listed, tmp_path_factory):
    """Where the recordings are: in files, and as members of archives."""
    packed = tmp_path_factory.mktemp("packed")
    with tarfile.open(packed / "all.tar", "w") as tar:
        for name in listed:
            tar.add(folder / name, f"clips/{name}")
    for kind, method in (("stored.zip", 0), ("zip", 8)):
        with zipfile.ZipFile(packed / f"all.{kind}", "w", method) as zipped:
            for name in listed:
                zipped.write(folder / name, f"clips/{name}")
    places = {kind: f"{packed / f'all.{kind}'}::clips/" for kind in WAYS[1:]}
    return {"file": f"{folder}/"} | places


def needs_ffmpeg():
    if not ffmpeg.program():
        pytest.skip("no ffmpeg; pip install 'rehear[ffmpeg]'")


def by_ffmpeg(path, channels):
    """Decode a whole file, as ``(channels, samples)``."""
    command = [ffmpeg.program(), "-v", "quiet", "-i", path, "-f", "f32le", "-"]
    done = subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE)
    return np.frombuffer(done.stdout, "<f4").reshape(-1, channels).T


def agreement(one, other):
    """Return the largest correlation over all shifts."""
    size = 1 << (len(one) + len(other)).bit_length()
    spectrum = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    norm = np.linalg.norm(one) * np.linalg.norm(other)
    return np.abs(np.fft.irfft(spectrum, size)).max() / norm


def test_every_recording_is_tested(listed):
    assert sorted(listed) == sorted({**READ, **BY_FFMPEG, **REFUSED})
    assert len(listed) == 19


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [*READ, *BY_FFMPEG])
def test_awkward_recording_is_read(places, folder, name, way):
    samples, rate, channels = (READ | BY_FFMPEG)[name]
    if name in BY_FFMPEG:
        needs_ffmpeg()
        if ffmpeg.version().startswith(("4.", "5.")):
            samples = 2048
    path = places[way] + name
    waveform, sample_rate = inputs.read(path)
    assert waveform.shape == (channels, samples)
    assert waveform.dtype == np.float32
    assert sample_rate == rate
    assert audio.facts(path) == audio.Facts(rate, channels, samples)
    np.testing.assert_array_equal(waveform, audio.read(folder / name)[0])
    part, _ = inputs.read(path, 0.005, 0.015)
    stretch = slice(round(0.005 * rate), round(0.015 * rate))
    # Lossy decoders differ in the last bit after a seek.
    np.testing.assert_allclose(part, waveform[:, stretch], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", READ)
def test_samples_are_those_of_two_other_decoders(folder, name):
    waveform, rate = audio.read(folder / name)
    expected, found = soundfile.read(folder / name, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(waveform, expected.T)
    assert rate == found
    needs_ffmpeg()
    other = by_ffmpeg(folder / name, len(waveform))
    assert other.shape == waveform.shape
    lossy = name.endswith((".opus", ".ogg")) or name == "mp3_in_wav.wav"
    np.testing.assert_allclose(waveform, other, rtol=0, atol=1e-3 if lossy else 0)
    for one, another in zip(waveform, other, strict=True):
        if one.any():  # of the six, some are silent
            assert np.corrcoef(one, another)[0, 1] > 0.99999


@pytest.mark.parametrize("name", sorted(OF_THE_DIGIT))
def test_every_channel_holds_the_digit(recordings, folder, name):
    if name in BY_FFMPEG:
        needs_ffmpeg()
    digit, rate = audio.read(recordings / "fsdd" / "audio" / DIGIT)
    waveform, found = audio.read(folder / name)
    lower = min(rate, found)
    expected = audio.resample(digit, rate, lower)[0]
    for channel in audio.resample(waveform, found, lower):
        if channel.any():
            assert agreement(channel, expected) > 0.9


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", REFUSED)
def test_awkward_recording_is_refused_with_its_reason(places, name, way):
    with pytest.raises(AudioError, match=REFUSED[name]) as caught:
        inputs.read(places[way] + name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_ffmpeg_the_m4a_file_is_refused(folder, monkeypatch):
    monkeypatch.setattr(ffmpeg, "version", lambda: "")
    with pytest.raises(AudioError, match=r"aac\.m4a: is MP4.*rehear\[ffmpeg\]"):
        audio.read(folder / "aac.m4a")


@pytest.fixture(params=WAYS)
def study(request, tmp_path, folder, places, listed):
    """A study of all these recordings, in files or in an archive."""
    own = tmp_path / "data" / "own"
    own.mkdir(parents=True)
    if request.param == "file":
        for name in listed:
            shutil.copy(folder / name, own)
        prefix = ""
    else:
        shutil.copy(places[request.param].partition("::")[0], own)
        prefix = f"all.{request.param}::clips/"
    rows = [
        f"{prefix}{name},x,{'test' if name == 'vorbis_128kHz.ogg' else 'train'}"
        for name in listed
    ]
    (own / "labels.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")
    return tmp_path


def test_fetch_stops_and_names_all_that_is_wrong(study):
    needs_ffmpeg()
    with pytest.raises(DataError, match="6 of 19 clips cannot be used") as caught:
        fetch.run(Params(dataset=Part(name="csv")), study, processes=1)
    for name in REFUSED:
        assert name in str(caught.value)
    assert not (study / "data" / "manifest.csv").exists()


def test_fetch_skips_what_is_wrong_and_says_so(study):
    needs_ffmpeg()
    settings = Params(dataset=Part(name="csv"), fetch=Fetch(on_error="skip"))
    fetch.run(settings, study, processes=1)
    clips = manifest.read(study / "data" / "manifest.csv").clips
    found = {
        clip.file.replace("::clips", "").rpartition("/")[2]: clip for clip in clips
    }
    assert found.keys() == READ.keys() | BY_FFMPEG.keys()
    for name, (samples, rate, _) in READ.items():
        assert found[name].sample_rate == rate
        assert found[name].duration == samples / rate
    card = json.loads((study / "data" / "card.json").read_text())
    assert card["skipped_clips"] == 6
    for name in REFUSED:
        assert any(name in json.dumps(entry) for entry in card["skipped"])
