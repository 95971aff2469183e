"""Levels of waveforms."""

import numpy as np
import pytest

from rehear.augmentations import AUGMENTATIONS
from rehear.errors import ParamsError
from rehear.randomness import generator

X = np.random.default_rng(0).standard_normal((2, 500)).astype(np.float32)


def apply(x, seed=1, **spec):
    return AUGMENTATIONS.build(spec)(x, generator(seed, "test"))


def test_gain_of_6_db_doubles_the_amplitude():
    louder = apply(X, name="gain", low_db=6.0206, high_db=6.0206)
    np.testing.assert_allclose(louder, 2 * X, rtol=1e-5)
    with pytest.raises(ParamsError, match="low_db 3 is above high_db 1"):
        apply(X, name="gain", low_db=3, high_db=1)


def test_polarity_turns_about_half_of_the_clips():
    turned = [np.array_equal(apply(X, seed, name="polarity"), -X) for seed in range(99)]
    assert 30 < sum(turned) < 70


def test_noise_has_the_mean_and_standard_deviation_asked_for():
    silence = np.zeros((1, 50_000), np.float32)
    noise = apply(silence, name="gaussian_noise", std=0.2, mean=0.5)
    assert noise.std() == pytest.approx(0.2, rel=0.02)
    assert noise.mean() == pytest.approx(0.5, rel=0.02)
    with pytest.raises(ParamsError, match="std must be 0 or above, not -1"):
        apply(X, name="gaussian_noise", std=-1)


def test_whether_and_what_are_different_draws():
    decision = generator(1, "test").random()
    silence = np.zeros((1, 1), np.float32)
    part = AUGMENTATIONS.build({"name": "gain", "low_db": 0, "high_db": 20})
    gain = part(silence + 1, generator(1, "test"))[0, 0]
    assert 20 * np.log10(gain) != pytest.approx(20 * decision, abs=1e-3)
