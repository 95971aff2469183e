import numpy as np
import pytest

from rehear import audio, similarity
from rehear.manifest import Clip
from rehear.similarity import is_copy, loudness_print
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


def test_print_does_not_depend_on_level_or_channels():
    x = noise(1)
    expected = loudness_print(x)
    np.testing.assert_allclose(loudness_print(0.1 * x), expected, atol=1e-5)
    np.testing.assert_allclose(loudness_print(np.repeat(x, 3, 0)), expected, atol=1e-5)
    assert np.linalg.norm(expected) == pytest.approx(1)


def test_print_is_the_log_power_of_stretches():
    x = noise(2, seconds=0.5, rate=12800)
    power = np.square(x.reshape(128, 50)).mean(axis=1)
    level = np.log10(power + 1e-4 * power.mean())
    level -= level.mean()
    np.testing.assert_allclose(
        loudness_print(x), level / np.linalg.norm(level), atol=1e-4
    )


@pytest.mark.parametrize("x", [np.zeros((1, 999)), np.ones((1, 1280)), np.ones((1, 5))])
def test_clip_without_shape_is_like_no_other(x):
    assert not loudness_print(x.astype(np.float32)).any()


def test_copy_at_another_rate_level_and_start_is_found():
    x = noise(3)
    lower = 0.3 * audio.resample(x, 16000, 11025)
    # The lower rate lacks a part of the band, as it does in true recordings.
    smooth = np.cumsum(x, axis=1) * 0.05
    late = np.concatenate([np.zeros((1, 700), np.float32), smooth], axis=1)
    assert is_copy((smooth, 16000), (0.5 * late, 16000))
    assert is_copy((audio.resample(lower, 11025, 8000), 8000), (lower, 11025))
    assert not is_copy((x, 16000), (noise(4), 16000))


def test_common_hum_does_not_make_a_copy():
    time = np.arange(16000) / 16000
    hum = 0.5 * np.sin(2 * np.pi * 50 * time)[None]
    a, b = (hum + 0.1 * noise(seed) for seed in (1, 2))
    assert similarity._correlation(a[0], b[0]) > 0.95
    assert not is_copy((a, 16000), (b, 16000))


def test_silence_is_no_copy():
    assert not is_copy((np.zeros((1, 900)), 8000), (noise(1), 8000))


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


def test_too_many_clips_are_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(similarity, "_MOST_CLIPS", 1)
    clips = [Clip(clip=n, file=n, sha256=n) for n in "ab"]
    assert similarity.find(clips, np.zeros((2, 128)), tmp_path) == []
    assert "2 clips are too many" in caplog.text
