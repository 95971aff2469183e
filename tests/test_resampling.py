"""Resampling against torchaudio."""

import math

import numpy as np
import pytest
import torch
import torchaudio
from torchaudio.functional.functional import _get_sinc_resample_kernel

from rehear import resampling
from rehear.resampling import _kernel, resample

RATES = [
    (8000, 16000),
    (16000, 8000),
    (44100, 16000),
    (48000, 16000),
    (4000, 16000),
    (500000, 16000),
    (11025, 16000),
    (16000, 44100),
]


def expected_resample(waveform, rate, new_rate):
    """torchaudio's filters, with sums in float64."""
    divisor = math.gcd(rate, new_rate)
    kernel, width = _get_sinc_resample_kernel(rate, new_rate, divisor)
    period, phases = rate // divisor, new_rate // divisor
    padded = np.pad(waveform.astype(np.float64), ((0, 0), (width, width + period)))
    filters = kernel[:, 0].numpy().astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, filters.shape[1], axis=1
    )[:, ::period]
    out = (windows @ filters.T).reshape(len(waveform), -1)
    return out[:, : math.ceil(phases * waveform.shape[1] / period)]


@pytest.mark.parametrize(("rate", "new_rate"), RATES)
def test_resample_filters_are_torchaudios(rate, new_rate):
    divisor = math.gcd(rate, new_rate)
    expected, width = _get_sinc_resample_kernel(rate, new_rate, divisor)
    matrix, _, margin = _kernel(rate, new_rate)
    first = matrix[: expected.shape[2], : new_rate // divisor]
    np.testing.assert_array_equal(first, expected[:, 0].numpy().T)
    assert margin == width


@pytest.mark.parametrize(("rate", "new_rate"), RATES)
@pytest.mark.parametrize("samples", [1, 50, 12345])
def test_resample_is_exact(rate, new_rate, samples):
    waveform = np.random.default_rng(0).normal(size=(2, samples)).astype(np.float32)
    got = resample(waveform, rate, new_rate)
    expected = expected_resample(waveform, rate, new_rate)
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("rate", "new_rate"), RATES[:6])
def test_resample_equals_torchaudio(rate, new_rate):
    draws = np.random.default_rng(0).normal(size=(2, 20000)) / 4
    waveform = draws.astype(np.float32)
    expected = torchaudio.functional.resample(
        torch.from_numpy(waveform), rate, new_rate
    )
    got = resample(waveform, rate, new_rate)
    np.testing.assert_allclose(got, expected.numpy(), rtol=0, atol=1e-5)


def test_resample_keeps_a_tone():
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100, dtype=np.float32)
    got = resample(tone[None], 44100, 16000)[0]
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(got[100:-100], expected[100:-100], atol=2e-3)


@pytest.mark.parametrize(("rate", "new_rate"), RATES)
def test_resample_without_a_matrix_gives_the_same(monkeypatch, rate, new_rate):
    waveform = np.random.default_rng(0).normal(size=(2, 5000)).astype(np.float32)
    expected = resample(waveform, rate, new_rate)
    monkeypatch.setattr(resampling, "_DENSE", 0)
    monkeypatch.setattr(resampling, "_CHUNK", 1000)
    got = resample(waveform, rate, new_rate)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=3e-6)


def test_resample_between_rates_without_a_common_factor():
    tone = np.sin(2 * np.pi * 440 * np.arange(44101) / 44101, dtype=np.float32)
    got = resample(tone[None], 44101, 16000)[0]
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(got[100:-100], expected[100:-100], atol=2e-3)


def test_resample_to_the_same_rate_is_the_identity():
    waveform = np.ones((1, 5), np.float32)
    assert resample(waveform, 8000, 8000) is waveform


def test_resample_refuses_a_rate_of_zero():
    with pytest.raises(ValueError, match="must be positive"):
        resample(np.ones((1, 5), np.float32), 8000, 0)


def test_name_is_that_of_torchaudios_method():
    assert resampling.NAME in torchaudio.transforms.Resample.__doc__
    assert torchaudio.transforms.Resample(8000, 16000).resampling_method == (
        resampling.NAME
    )


# Samples 0, 1, 1000 and n/2 - 1 of a chirp that version 1 gives.
GIVEN = {
    (44100, 16000): (0.011086, 0.116074, 0.995434, -0.453734),
    (8000, 16000): (0.000636, 0.09723, 0.995116, -0.454558),
    (16000, 8000): (0.019666, 0.230497, -0.382517, -0.80956),
    (44101, 16000): (0.011086, 0.116074, 0.995434, -0.453701),
}


@pytest.mark.parametrize(("rate", "new_rate"), GIVEN)
def test_other_numbers_need_another_version(rate, new_rate):
    assert resampling.VERSION == 1
    t = np.arange(rate) / rate
    chirp = np.sin(2 * np.pi * (300 + 900 * t) * t).astype(np.float32)[np.newaxis]
    got = resample(chirp, rate, new_rate)[0, [0, 1, 1000, new_rate // 2 - 1]]
    np.testing.assert_allclose(got, GIVEN[rate, new_rate], rtol=0, atol=2e-6)
