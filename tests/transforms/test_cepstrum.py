"""Decibels and cepstra against librosa and torchaudio."""

import librosa
import numpy as np
import pytest
import torch
import torchaudio
from scipy import fft

from rehear import transforms
from rehear.errors import DataError, ParamsError
from rehear.transforms import TRANSFORMS
from rehear.transforms.cepstrum import Cepstrum, Decibel, Mfcc


def noise(samples=16000, channels=1):
    draws = np.random.default_rng(0).normal(size=(channels, samples)) / 10
    return draws.astype(np.float32)


@pytest.mark.parametrize(("coefficients", "n_mels"), [(13, 64), (20, 40), (40, 40)])
def test_mfcc_equal_librosa(coefficients, n_mels):
    clip = noise(30001, channels=2)
    got = Mfcc(sample_rate=16000, n_mfcc=coefficients, n_mels=n_mels)(clip)
    for channel, result in zip(clip, got, strict=True):
        expected = librosa.feature.mfcc(
            y=channel.astype(np.float64),
            sr=16000,
            n_mfcc=coefficients,
            n_fft=512,
            hop_length=160,
            n_mels=n_mels,
            pad_mode="reflect",
        )
        np.testing.assert_allclose(result, expected, rtol=0, atol=2e-3)
    assert got.dtype == np.float32


def test_mfcc_equal_torchaudio():
    clip = noise(30001, channels=2)
    got = Mfcc(sample_rate=16000, n_mfcc=20, n_mels=40, mel_scale="htk")(clip)
    melkwargs = {"n_fft": 512, "hop_length": 160, "n_mels": 40}
    reference = torchaudio.transforms.MFCC(16000, n_mfcc=20, melkwargs=melkwargs)
    expected = reference(torch.from_numpy(clip)).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=5e-3)


def test_mfcc_are_its_three_parts():
    parts = ["mel", {"name": "decibel", "top_db": 80}, "cepstrum"]
    chain = transforms.build(parts, sample_rate=16000)
    np.testing.assert_array_equal(Mfcc(sample_rate=16000)(noise()), chain(noise()))


@pytest.mark.parametrize("top_db", [None, 30.0])
def test_decibel_equals_librosa(top_db):
    power = np.random.default_rng(0).exponential(size=(2, 40, 30)) ** 4
    power[0, 0] = 0
    got = Decibel(top_db=top_db)(power.astype(np.float32))
    expected = librosa.power_to_db(power, top_db=top_db)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("lifter", [0, 22])
def test_cepstrum_equals_scipy_and_librosas_lifter(lifter):
    x = np.random.default_rng(0).normal(size=(2, 26, 9)).astype(np.float32)
    got = Cepstrum(coefficients=12, lifter=lifter)(x)
    expected = librosa.feature.mfcc(S=x, n_mfcc=12, lifter=lifter)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    if not lifter:
        expected = fft.dct(x, axis=1, norm="ortho")[:, :12]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_more_coefficients_than_bands_are_refused():
    with pytest.raises(DataError, match="13 coefficients of 5 bands"):
        Cepstrum()(np.ones((1, 5, 3), np.float32))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"name": "decibel", "amin": 0}, "amin must be positive"),
        ({"name": "decibel", "top_db": -1}, "top_db must be positive or null"),
        ({"name": "cepstrum", "coefficients": 0}, "coefficients must be positive"),
        ({"name": "cepstrum", "lifter": -1}, "lifter not negative"),
        ({"name": "mfcc", "n_mfcc": 65}, "at most as many coefficients"),
        ({"name": "mfcc", "n_mfcc": 0}, "coefficients must be positive"),
        ({"name": "mfcc", "n_mfc": 13}, "Did you mean 'n_mfcc'"),
    ],
)
def test_arguments_out_of_range_are_refused(spec, reason):
    with pytest.raises(ParamsError, match=reason):
        TRANSFORMS.build(spec, sample_rate=16000)
