"""Transforms of values."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torchvision.transforms import v2

from rehear import resampling, transforms
from rehear.errors import DataError, ParamsError
from rehear.transforms import TRANSFORMS
from rehear.transforms.values import Expand, Normalize, Scale, ToFloat
from rehear.transforms.waveform import Resample

any_array = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=1, max_dims=3, max_side=9),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


def image(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


@given(x=any_array, low=st.floats(-9, 9), width=st.floats(0.125, 9))
def test_scale_goes_from_low_to_high(x, low, width):
    got = Scale(low=low, high=low + width)(x)
    low, high = np.float32(low), np.float32(low + width)
    assert got.shape == x.shape
    assert got.dtype == np.float32
    assert got.min() == low
    if x.min() == x.max():
        assert got.max() == low
    else:
        np.testing.assert_allclose(got.max(), high, rtol=1e-6, atol=1e-6)
        assert got.max() <= high


def test_scale_keeps_proportions():
    x = np.array([[3, 4, 7]], np.float32)
    np.testing.assert_array_equal(Scale(low=-1)(x), [[-1, -0.5, 1]])
    np.testing.assert_array_equal(Scale()(np.full((2, 3), 5, np.float32)), 0)


@pytest.mark.parametrize("shape", [(3,), (3, 50), (3, 8, 9)])
def test_normalize_is_per_first_axis(shape):
    x, mean, std = image(*shape), [0.1, 0.2, 0.3], [1.0, 2.0, 4.0]
    got = Normalize(mean=mean, std=std)(x)
    expected = [(x[i] - mean[i]) / std[i] for i in range(3)]
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)
    assert got.dtype == np.float32


def test_normalize_of_images_equals_torchvision():
    x, mean, std = image(3, 20, 30), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    expected = v2.functional.normalize(torch.from_numpy(x), mean, std).numpy()
    got = Normalize(mean=mean, std=std)(x)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def test_normalize_takes_one_number_for_all_channels():
    x = image(4, 5, 6)
    np.testing.assert_allclose(Normalize(mean=1, std=2.0)(x), (x - 1) / 2, atol=1e-7)
    got = Normalize(mean=[0, 1, 2, 3], std=2.0)(x)
    np.testing.assert_allclose(got[3], (x[3] - 3) / 2, atol=1e-7)


def test_normalize_refuses_another_number_of_channels():
    with pytest.raises(DataError, match=r"3 means or stds .* \(1, 5, 6\)"):
        Normalize(mean=[0.0, 0.0, 0.0])(image(1, 5, 6))


def test_to_float_equals_torchvision():
    x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    expected = v2.functional.to_dtype(torch.from_numpy(x), torch.float32, scale=True)
    np.testing.assert_allclose(ToFloat()(x), expected.numpy(), rtol=1e-6, atol=0)
    np.testing.assert_array_equal(ToFloat()(x), (x / 255).astype(np.float32))


def test_to_float_refuses_floats():
    with pytest.raises(DataError, match="right behind 'spectrogram_image'"):
        ToFloat()(image(1, 4, 4))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_expand_pads_with_zeros_and_never_crops(axis):
    x = image(4, 5, 6)
    got = Expand(sample_rate=16000, size=9, axis=axis)(x)
    assert got.shape[axis] == 9
    np.testing.assert_array_equal(got[:4, :5, :6], x)
    assert got.sum() == pytest.approx(x.sum(), rel=1e-6)
    assert Expand(sample_rate=16000, size=4, axis=axis)(x) is x


def test_expand_repeats():
    x = np.array([[1, 2, 3]], np.float32)
    got = Expand(sample_rate=16000, size=8, mode="repeat")(x)
    np.testing.assert_array_equal(got, [[1, 2, 3, 1, 2, 3, 1, 2]])


def test_expand_counts_seconds_of_waveforms():
    assert Expand(sample_rate=8000, seconds=0.5)(image(2, 100)).shape == (2, 4000)
    chain = ["log_mel", "expand"]
    with pytest.raises(ParamsError, match="'expand' takes a waveform"):
        transforms.build(chain, sample_rate=16000)


def test_expand_refuses_an_axis_that_is_not_there():
    with pytest.raises(DataError, match="no axis 2"):
        Expand(sample_rate=8000, size=9, axis=2)(image(2, 3))


def test_resample_hands_its_rate_on():
    chain = transforms.build(
        [{"name": "resample", "rate": 8000}, "fit"], sample_rate=16000
    )
    x = image(1, 32000)
    assert chain(x).shape == (1, 8000)
    assert chain.after.rate == 8000
    part = Resample(sample_rate=16000, rate=8000)
    np.testing.assert_array_equal(part(x), resampling.resample(x, 16000, 8000))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"name": "scale", "low": 1}, "low must be below high"),
        ({"name": "normalize", "std": 0}, "std must be positive"),
        ({"name": "normalize", "mean": [1, 2], "std": [1, 2, 3]}, "mean has 2 numbers"),
        ({"name": "normalize", "mean": "a"}, "a number or a list of numbers"),
        ({"name": "normalize", "mean": [[1]]}, "a number or a list of numbers"),
        ({"name": "normalize", "mean": []}, "a number or a list of numbers"),
        ({"name": "expand", "size": 0}, "must be positive, not 0"),
        ({"name": "expand", "seconds": -1}, "must be positive, not -1"),
        ({"name": "expand", "mode": "wrap"}, "zeros or repeat"),
        ({"name": "resample", "rate": 0}, "rate must be positive"),
    ],
)
def test_arguments_out_of_range_are_refused(spec, reason):
    with pytest.raises(ParamsError, match=reason):
        TRANSFORMS.build(spec, sample_rate=16000)
