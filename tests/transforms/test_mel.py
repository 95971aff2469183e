"""Mel spectrograms against librosa and torchaudio."""

import librosa
import numpy as np
import pytest
import torch
import torchaudio

from rehear import audio, transforms
from rehear.errors import ParamsError
from rehear.transforms import TRANSFORMS
from rehear.transforms.mel import Mel, mel_filters

HTK = {"mel_scale": "htk", "norm": "none"}


def noise(samples=16000, channels=1):
    draws = np.random.default_rng(0).normal(size=(channels, samples)) / 10
    return draws.astype(np.float32)


@pytest.mark.parametrize(
    ("sample_rate", "arguments"),
    [
        (16000, {}),
        (8000, {"n_fft": 256, "hop_length": 80, "n_mels": 40, "f_min": 100}),
        (44100, {"n_fft": 2048, "hop_length": 512, "n_mels": 128, "f_max": 16000}),
    ],
)
def test_mel_equals_librosa(sample_rate, arguments):
    clip = noise(30001, channels=2)
    got = Mel(sample_rate=sample_rate, **arguments)(clip)
    names = {"f_min": "fmin", "f_max": "fmax"}
    expected = librosa.feature.melspectrogram(
        y=clip.astype(np.float64),
        sr=sample_rate,
        pad_mode="reflect",
        **{"n_fft": 512, "hop_length": 160, "n_mels": 64}
        | {names.get(key, key): value for key, value in arguments.items()},
    )
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    ("sample_rate", "arguments"),
    [
        (16000, {"n_fft": 1024, "hop_length": 200, "n_mels": 128}),
        (8000, {"n_fft": 400, "hop_length": 100, "n_mels": 40, "f_min": 60}),
    ],
)
def test_decibels_of_mel_equal_torchaudio(sample_rate, arguments):
    clip = noise(20000, channels=2)
    mel = {"name": "mel", **HTK, **arguments}
    decibel = {"name": "decibel", "top_db": 80}
    got = transforms.build([mel, decibel], sample_rate=sample_rate)(clip)
    expected = torchaudio.transforms.MelSpectrogram(sample_rate, **arguments)
    decibels = torchaudio.transforms.AmplitudeToDB(top_db=80)
    expected = decibels(expected(torch.from_numpy(clip))).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-3)


def test_mel_of_speech_equals_torchaudio(recordings):
    for path in sorted((recordings / "fsdd").rglob("*.wav"))[:5]:
        clip, rate = audio.read(path)
        arguments = {"n_fft": 512, "hop_length": 128, "n_mels": 40}
        got = Mel(sample_rate=rate, **HTK, **arguments)(clip)
        reference = torchaudio.transforms.MelSpectrogram(rate, **arguments)
        expected = reference(torch.from_numpy(clip)).numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("norm", ["slaney", None])
def test_filters_are_librosas(htk, norm):
    got = mel_filters(
        16000,
        1024,
        64,
        f_min=20,
        f_max=7600,
        scale="htk" if htk else "slaney",
        norm=norm or "none",
    )
    expected = librosa.filters.mel(
        sr=16000, n_fft=1024, n_mels=64, fmin=20, fmax=7600, htk=htk, norm=norm
    )
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)


def test_the_highest_frequency_is_half_the_rate():
    got = Mel(sample_rate=11025)(noise())
    np.testing.assert_array_equal(got, Mel(sample_rate=11025, f_max=5512.5)(noise()))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"f_max": 8001}, "f_max <= 8000 Hz"),
        ({"mel_scale": "bark"}, "mel_scale must be slaney or htk"),
        ({"norm": "area"}, "norm slaney or none"),
        ({"n_fft": 401}, "n_fft even"),
        ({"norm": None}, "expected text"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, reason):
    with pytest.raises(ParamsError, match=reason):
        TRANSFORMS.build({"name": "mel", **arguments}, sample_rate=16000)
