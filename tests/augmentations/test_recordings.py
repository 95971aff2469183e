"""Folders of recordings."""

import numpy as np
import pytest

from rehear import audio
from rehear.augmentations import recordings as module
from rehear.augmentations.recordings import Recordings


@pytest.fixture
def folder(tmp_path):
    draws = np.random.default_rng(0)
    for name in ("b/2.wav", "a.flac", "b/1.ogg", ".hidden.wav", ".git/x.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        audio.write(path, 0.1 * draws.standard_normal((1, 800)), 8000)
    (tmp_path / "README.txt").write_text("noise")
    return tmp_path


def test_files_are_sorted_whatever_the_order_on_disk(folder, monkeypatch):
    found = Recordings(folder, sample_rate=8000)
    assert found.files == ["a.flac", "b/1.ogg", "b/2.wav"]
    there = module._found(folder)
    monkeypatch.setattr(module, "_found", lambda _: sorted(there, reverse=True))
    assert Recordings(folder, sample_rate=8000).files == found.files


def test_recordings_are_resampled(folder):
    waveform, rate = audio.read(folder / "a.flac")
    expected = audio.resample(waveform, rate, 16000)
    assert np.array_equal(Recordings(folder, sample_rate=16000)[0], expected)


def test_what_was_used_last_is_kept_within_the_limit(folder, monkeypatch):
    reads = []

    def read(path):
        reads.append(path.name)
        return np.zeros((1, 800), np.float32), 8000

    monkeypatch.setattr(audio, "read", read)
    found = Recordings(folder, sample_rate=8000, cache=2 * 3200)
    for number in (0, 1, 0, 2, 0, 1):
        assert found[number].shape == (1, 800)
    assert reads == ["a.flac", "1.ogg", "2.wav", "1.ogg"]
    assert found._bytes == 2 * 3200
    small = Recordings(folder, sample_rate=8000, cache=100)
    assert small[0].shape == (1, 800)
    assert small._bytes == 0


def test_what_is_kept_cannot_be_changed(folder):
    with pytest.raises(ValueError, match="read-only"):
        Recordings(folder, sample_rate=8000)[0][:] = 0


def test_real_recordings_in_many_formats_are_read(recordings):
    found = Recordings(recordings / "fsdd", sample_rate=16000)
    assert len(found) > 0
    assert found[0].ndim == 2


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="none does not exist; correct its path"):
        Recordings(tmp_path / "none", sample_rate=8000)
    with pytest.raises(ValueError, match="holds no recordings"):
        Recordings(tmp_path, sample_rate=8000)
    with pytest.raises(ValueError, match="need the sample rate"):
        Recordings(tmp_path, sample_rate=0)
