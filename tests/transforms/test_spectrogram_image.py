"""Pictures of spectrograms against matplotlib and torchvision."""

import sys

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from rehear import transforms
from rehear.errors import DataError, ParamsError
from rehear.transforms import TRANSFORMS
from rehear.transforms.spectrogram_image import SpectrogramImage

matplotlib = pytest.importorskip("matplotlib", reason="needs the extra images")


def spectrogram(bands=64, frames=101):
    draws = np.random.default_rng(0).normal(size=(1, bands, frames))
    return draws.astype(np.float32)


@pytest.mark.parametrize("colormap", ["magma", "viridis", "gray", "jet"])
def test_colours_are_matplotlibs_and_low_frequencies_at_the_bottom(colormap):
    x = spectrogram()
    got = SpectrogramImage(height=None, width=None, colormap=colormap)(x)
    scaled = (x[0] - x.min()) / (x.max() - x.min())
    expected = matplotlib.colormaps[colormap](scaled[::-1], bytes=True)[..., :3]
    assert got.dtype == np.uint8
    assert got.shape == (3, 64, 101)
    # A value on the edge of two colours may round to either.
    assert (got == expected.transpose(2, 0, 1)).mean() > 0.999


def test_height_and_width_are_not_swapped():
    assert SpectrogramImage(height=50, width=80)(spectrogram()).shape == (3, 50, 80)
    x = np.zeros((1, 64, 100), np.float32)
    x[0, :8] = 1  # the lowest frequencies
    got = SpectrogramImage(height=64, width=100, colormap="gray")(x)
    assert (got[:, 56:] == 255).all()
    assert (got[:, :56] == 0).all()


def test_colours_are_interpolated_as_torchvision_does():
    x = spectrogram()
    got = SpectrogramImage(height=224, width=200)(x)
    plain = SpectrogramImage(height=None, width=None)(x)
    expected = v2.functional.resize(torch.from_numpy(plain), [224, 200], antialias=True)
    assert np.abs(got.astype(int) - expected.numpy().astype(int)).max() <= 1


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic"])
def test_without_colours_values_are_scaled(interpolation):
    x = spectrogram()
    part = SpectrogramImage(
        height=128, width=90, colormap="none", interpolation=interpolation
    )
    scaled = (x - x.min()) / (x.max() - x.min())
    expected = v2.functional.resize(
        torch.from_numpy(scaled[:, ::-1].copy()),
        [128, 90],
        interpolation=v2.InterpolationMode(interpolation),
        antialias=True,
    )
    got = part(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected.numpy().clip(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("colormap", ["magma", "none"])
def test_a_constant_spectrogram_has_the_first_colour(colormap):
    x = np.full((1, 64, 101), -100, np.float32)
    got = SpectrogramImage(colormap=colormap)(x)
    first = (
        0 if colormap == "none" else matplotlib.colormaps["magma"](0, bytes=True)[:3]
    )
    np.testing.assert_array_equal(
        got, np.broadcast_to(np.reshape(first, (-1, 1, 1)), got.shape)
    )


def test_two_channels_are_refused():
    chain = transforms.build(["log_mel", "spectrogram_image"], sample_rate=16000)
    with pytest.raises(DataError, match="one channel, got 2; put 'mono'"):
        chain(np.ones((2, 16000), np.float32))


def test_pictures_of_waveforms_are_refused():
    with pytest.raises(ParamsError, match="takes a spectrogram"):
        transforms.build(["mono", "spectrogram_image"], sample_rate=16000)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"colormap": "magna"}, "Did you mean 'magma'"),
        ({"height": 0}, "height must be positive"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, reason):
    with pytest.raises(ParamsError, match=reason):
        TRANSFORMS.build({"name": "spectrogram_image", **arguments}, sample_rate=16000)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ParamsError, match=r"pip install 'rehear\[images\]'"):
        TRANSFORMS.build("spectrogram_image", sample_rate=16000)
    none = {"name": "spectrogram_image", "colormap": "none"}
    TRANSFORMS.build(none, sample_rate=16000)
