"""Impulse responses, against SciPy's convolution."""

import numpy as np
import pytest
from scipy.signal import convolve

from rehear import audio
from rehear.augmentations import AUGMENTATIONS
from rehear.errors import DataError, ParamsError
from rehear.randomness import generator

RATE = 8000
X = 0.1 * np.random.default_rng(0).standard_normal((2, 1000)).astype(np.float32)


@pytest.fixture
def study(tmp_path):
    (tmp_path / "rooms").mkdir()
    return tmp_path


def room(study, response):
    audio.write(study / "rooms" / "0.wav", np.atleast_2d(response), RATE)
    return audio.read(study / "rooms" / "0.wav")[0].astype(np.float64)


def apply(study, x=X, **spec):
    spec = {"name": "impulse_response", "folder": "rooms", **spec}
    part = AUGMENTATIONS.build(spec, sample_rate=RATE, study=study)
    return part(x, generator(1, "test"))


def decay(taps=3000, seed=1):
    draws = np.random.default_rng(seed)
    response = 0.2 * draws.standard_normal(taps) * np.exp(-np.arange(taps) / 300)
    response[40] = 0.9
    return response


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("norm", ["energy", "peak", "none"])
@pytest.mark.parametrize("taps", [41, 3000])
def test_clips_are_convolved_and_keep_their_length(study, align, norm, taps):
    response = room(study, decay(taps))[0]
    scale = {"energy": np.sqrt((response**2).sum()), "peak": 0.9, "none": 1}[norm]
    whole = np.stack([convolve(row, response / scale) for row in X.astype(float)])
    first = 40 if align else 0
    expected = whole[:, first : first + 1000]
    found = apply(study, align=align, normalize=norm)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4 if norm == "peak" else 1e-6)


def test_a_single_pulse_changes_nothing_when_aligned(study):
    room(study, np.eye(1, 200, 77)[0] * 0.5)
    np.testing.assert_allclose(apply(study), X, atol=1e-6)
    assert np.abs(apply(study, align=False)[:, :77]).max() < 1e-6


def test_channels_of_the_room_are_used_where_they_fit(study):
    stereo = room(study, np.stack([decay(seed=1), decay(seed=2)]))
    found = apply(study, normalize="none", align=False)
    for row, own, response in zip(found, X, stereo, strict=True):
        np.testing.assert_allclose(row, convolve(own, response)[:1000], atol=1e-6)
    mono = apply(study, X[:1], normalize="none", align=False)
    np.testing.assert_allclose(mono[0], found[0], atol=1e-6)


def test_a_silent_impulse_response_changes_nothing(study):
    room(study, np.zeros(50))
    assert np.array_equal(apply(study), X)


def test_refusals(study):
    with pytest.raises(ParamsError, match="rooms holds no recordings"):
        apply(study)
    room(study, decay())
    with pytest.raises(ParamsError, match="normalize must be energy or peak or none"):
        apply(study, normalize="loud")
    with pytest.raises(DataError, match="takes a waveform"):
        apply(study, x=np.zeros((1, 2, 3), np.float32))
