"""What is done on the device is what the transform does."""

import numpy as np
import pytest
import torch

from rehear.errors import ParamsError
from rehear.transforms import TRANSFORMS


def waveforms(samples, channels=1):
    draws = np.random.default_rng(samples)
    return draws.uniform(-0.5, 0.5, (3, channels, samples)).astype(np.float32)


@pytest.mark.parametrize("samples", [1, 2, 100, 300, 16000, 16001])
@pytest.mark.parametrize(
    "arguments", [{}, {"n_fft": 1024, "hop_length": 320, "n_mels": 40, "f_min": 0.0}]
)
def test_log_mel_is_that_of_numpy(samples, arguments):
    part = TRANSFORMS.build({"name": "log_mel", **arguments}, sample_rate=16000)
    batch = waveforms(samples, channels=2)
    expected = np.stack([part(x) for x in batch])
    found = part.on_device()(torch.from_numpy(batch)).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("name", ["mono", "fit"])
@pytest.mark.parametrize("samples", [15000, 16000, 16001, 17000])
def test_waveform_transforms_are_those_of_numpy(name, samples):
    part = TRANSFORMS.build(name, sample_rate=16000)
    batch = waveforms(samples, channels=2)
    expected = np.stack([part(x) for x in batch])
    found = part.on_device()(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("shape", [(7,), (1, 7, 11)])
def test_standardize_is_that_of_numpy(shape):
    part = TRANSFORMS.build("standardize")
    with pytest.raises(ParamsError, match="learnt nothing"):
        part.on_device()
    clips = np.random.default_rng(0).normal(3, 2, (20, *shape)).astype(np.float32)
    part.learn(iter(clips))
    expected = np.stack([part(x) for x in clips])
    found = part.on_device()(torch.from_numpy(clips)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("mean", "std"), [(2.0, 3.0), ([1, 2, 3], [1, 2, 4])])
@pytest.mark.parametrize("shape", [(3,), (3, 5), (3, 5, 7)])
def test_normalize_is_that_of_numpy(mean, std, shape):
    part = TRANSFORMS.build({"name": "normalize", "mean": mean, "std": std})
    clips = np.random.default_rng(0).normal(3, 2, (4, *shape)).astype(np.float32)
    expected = np.stack([part(x) for x in clips])
    found = part.on_device()(torch.from_numpy(clips)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_to_float_is_that_of_numpy():
    part = TRANSFORMS.build("to_float")
    images = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    expected = np.stack([part(x) for x in images])
    # Batches are float32 whatever is stored.
    found = part.on_device()(torch.from_numpy(images.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-7)
