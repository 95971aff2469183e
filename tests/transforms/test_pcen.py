"""Per-channel energy normalisation against librosa."""

import librosa
import numpy as np
import pytest

from rehear import audio, transforms
from rehear.errors import ParamsError
from rehear.transforms import TRANSFORMS
from rehear.transforms.pcen import Pcen


def spectrogram(frames, channels=1, seed=0):
    draws = np.random.default_rng(seed).exponential(size=(channels, 40, frames))
    return (draws**2 * 1e-3).astype(np.float32)


def expected_pcen(x, sample_rate=16000, scale=1.0, hop_length=160, **arguments):
    return librosa.pcen(
        x.astype(np.float64) * scale,
        sr=sample_rate,
        hop_length=hop_length,
        **arguments,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"gain": 0.8, "bias": 10.0, "power": 0.25, "time_constant": 0.06},
        {"scale": 2.0**31, "hop_length": 512},
        {"power": 0.0},
        {"bias": 0.0},
        {"gain": 0.0, "eps": 1e-3},
    ],
)
@pytest.mark.parametrize("frames", [1, 63, 64, 65, 300])
def test_pcen_equals_librosa(arguments, frames):
    x = spectrogram(frames, channels=2)
    got = Pcen(sample_rate=16000, **arguments)(x)
    for channel, result in zip(x, got, strict=True):
        expected = expected_pcen(channel, **arguments)
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-7)
    assert got.dtype == np.float32


def test_pcen_of_speech_equals_librosa(recordings):
    chain = transforms.build(["mel", "pcen"], sample_rate=8000)
    for path in sorted((recordings / "fsdd").rglob("*.wav"))[:3]:
        clip, rate = audio.read(path)
        mel = TRANSFORMS.build("mel", sample_rate=rate)(clip)
        expected = expected_pcen(mel[0], rate)
        np.testing.assert_allclose(chain(clip)[0], expected, rtol=1e-5, atol=1e-7)


def test_silence_stays_silent():
    got = Pcen(sample_rate=16000)(np.zeros((1, 40, 100), np.float32))
    np.testing.assert_array_equal(got, 0)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"gain": -0.1}, "must not be negative"),
        ({"time_constant": 0}, "must be positive"),
        ({"eps": 0.0}, "must be positive"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, reason):
    with pytest.raises(ParamsError, match=reason):
        TRANSFORMS.build({"name": "pcen", **arguments}, sample_rate=16000)
