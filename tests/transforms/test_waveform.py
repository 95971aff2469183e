"""Transforms from waveform to waveform."""

import numpy as np
import pytest

from rehear.errors import ParamsError
from rehear.transforms import TRANSFORMS
from rehear.transforms.waveform import Fit, Mono


def test_mono_is_the_mean_of_the_channels():
    got = Mono()(np.array([[1, 2, 3], [3, 2, 1]], np.float32))
    np.testing.assert_array_equal(got, [[2, 2, 2]])
    assert got.dtype == np.float32


def test_mono_leaves_one_channel_alone():
    waveform = np.ones((1, 3), np.float32)
    assert Mono()(waveform) is waveform


def test_fit_pads_with_zeros_at_the_end():
    got = Fit(sample_rate=4, seconds=1.5)(np.ones((2, 4), np.float32))
    np.testing.assert_array_equal(got, [[1, 1, 1, 1, 0, 0]] * 2)
    assert got.dtype == np.float32


def test_fit_keeps_the_middle():
    got = Fit(sample_rate=4, seconds=1)(np.arange(9, dtype=np.float32)[None])
    np.testing.assert_array_equal(got, [[2, 3, 4, 5]])


def test_fit_of_a_clip_that_fits_is_the_identity():
    clip = np.arange(4, dtype=np.float32)[None]
    np.testing.assert_array_equal(Fit(sample_rate=4, seconds=1)(clip), clip)


@pytest.mark.parametrize("seconds", [0, -1, 1e-9])
def test_fit_refuses_no_duration(seconds):
    with pytest.raises(ParamsError, match="seconds must be positive"):
        TRANSFORMS.build({"name": "fit", "seconds": seconds}, sample_rate=16000)
