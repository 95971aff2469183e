import io
import shutil

import numpy as np
import pytest
import soundfile

from rehear import audio, similarity
from rehear.manifest import Clip
from rehear.similarity import is_copy
from rehear.survey import examine


def noise(seed, seconds=1.0, rate=16000):
    generator = np.random.Generator(np.random.Philox(seed))
    count = round(seconds * rate)
    loudness = np.interp(np.arange(count), *swell(generator, count))
    return (0.2 * loudness * generator.standard_normal((1, count))).astype(np.float32)


def swell(generator, count):
    return np.linspace(0, count, 12), generator.uniform(0.05, 1, 12)


def found(clips, root, processes=None):
    seen = examine(clips, root, processes=processes)
    return similarity.find(seen.clips, seen.prints, root, processes=processes)


def encoded(waveform, rate, kind):
    stream = io.BytesIO()
    soundfile.write(stream, waveform.T, rate, format=kind)
    stream.seek(0)
    return soundfile.read(stream, dtype="float32", always_2d=True)[0].T


def in_front(waveform, rate, what):
    return np.concatenate([what[:, :rate], waveform], axis=1)


def noisy(waveform, rate):
    power = np.sqrt(np.mean(waveform**2)) * 10 ** (-20 / 20)  # 20 dB below
    return waveform + power * noise(5, waveform.shape[1] / rate, rate) / 0.12


CHANGES = {
    "gain": lambda x, rate: (0.3 * x, rate),
    "polarity": lambda x, rate: (-x, rate),
    "channels": lambda x, rate: (np.repeat(x, 2, axis=0), rate),
    "noise": lambda x, rate: (noisy(x, rate), rate),
    "mp3": lambda x, rate: (encoded(x, rate, "MP3"), rate),
    "ogg": lambda x, rate: (encoded(x, rate, "OGG"), rate),
    "half the rate": lambda x, rate: (audio.resample(x, rate, rate // 2), rate // 2),
    "silence first": lambda x, rate: (in_front(x, rate, np.zeros_like(x)), rate),
    "noise first": lambda x, rate: (in_front(x, rate, 0.2 * noise(8, 1, rate)), rate),
    "first second off": lambda x, rate: (x[:, rate:], rate),
}


@pytest.fixture(scope="module")
def sentences(recordings, tmp_path_factory):
    """Twelve acted sentences, all of more than two seconds."""
    folder = tmp_path_factory.mktemp("sentences")
    paths = sorted((recordings / "emodb4" / "audio").glob("*.wav"))
    long = [path for path in paths if audio.facts(path).duration > 2]
    for path in long[::12][:12]:
        shutil.copy(path, folder)
    return folder


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else(sentences, tmp_path, change):
    clips, expected = [], []
    for path in sorted(sentences.iterdir()):
        shutil.copy(path, tmp_path)
        copy = tmp_path / f"{path.stem}-copy.wav"
        changed, rate = CHANGES[change](*audio.read(path))
        soundfile.write(copy, changed.T, rate, subtype="FLOAT")
        clips += [Clip(clip=p.stem, file=p.name) for p in (path, copy)]
        expected.append((path.stem, copy.stem))
    assert found(clips, tmp_path) == expected


def test_clip_within_a_longer_one_is_found(sentences, tmp_path):
    paths = sorted(sentences.iterdir())[:4]
    waves = [audio.read(path)[0] for path in paths]
    audio.write(tmp_path / "all.wav", np.concatenate(waves, axis=1), 16000)
    shutil.copy(paths[2], tmp_path)
    clips = [Clip(clip="all", file="all.wav"), Clip(clip="part", file=paths[2].name)]
    assert found(clips, tmp_path) == [("all", "part")]


def test_copy_at_another_rate_level_and_start_is_one():
    x = noise(3)
    lower = 0.3 * audio.resample(x, 16000, 11025)
    assert is_copy((audio.resample(lower, 11025, 8000), 8000), (lower, 11025))
    assert not is_copy((x, 16000), (noise(4), 16000))


def test_common_hum_does_not_make_a_copy():
    time = np.arange(16000) / 16000
    hum = 0.5 * np.sin(2 * np.pi * 50 * time)[None]
    a, b = (hum + 0.1 * noise(seed) for seed in (1, 2))
    assert np.corrcoef(a[0], b[0])[0, 1] > 0.95
    assert not is_copy((a, 16000), (b, 16000))


def test_silence_is_no_copy(tmp_path):
    assert not is_copy((np.zeros((1, 900)), 8000), (noise(1), 8000))
    for number in range(3):
        audio.write(tmp_path / f"{number}.wav", np.zeros((1, 900 + number)), 8000)
    clips = [Clip(clip=str(n), file=f"{n}.wav") for n in range(3)]
    assert found(clips, tmp_path) == []


def test_no_clips_have_no_copies(tmp_path):
    assert found([], tmp_path) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_copies_in_other_formats_are_found(recordings, processes):
    root = recordings / "orca_codecs" / "audio"
    names = sorted(path.stem for path in (root / "flac").iterdir())[:12]
    clips = [
        Clip(clip=f"{name}.{kind}", file=f"{kind}/{name}.{kind}")
        for name in names
        for kind in ("flac", "mp3", "ogg")
    ]
    expected = [
        pair
        for name in names
        for pair in (
            (f"{name}.flac", f"{name}.mp3"),
            (f"{name}.flac", f"{name}.ogg"),
            (f"{name}.mp3", f"{name}.ogg"),
        )
    ]
    assert found(clips, root, processes) == sorted(expected)
    assert found(clips[::-1], root, processes) == sorted(expected)


@pytest.mark.parametrize("folder", ["fsdd", "emodb4"])
def test_other_recordings_are_no_copies(recordings, folder):
    root = recordings / folder / "audio"
    clips = [Clip(clip=p.stem, file=p.name) for p in sorted(root.glob("*.wav"))]
    assert found(clips, root) == []


def test_identical_samples_are_not_compared_again(tmp_path, monkeypatch):
    for name in "abc":
        audio.write(tmp_path / f"{name}.wav", noise(1 if name < "c" else 2), 16000)
    monkeypatch.setattr(similarity, "is_copy", lambda *pair: pytest.fail("compared"))
    assert found([Clip(clip=n, file=f"{n}.wav") for n in "abc"], tmp_path, 1) == []
