"""Augmentations of levels: of waveforms, and of other features."""

import numpy as np

from rehear.augmentations.chance import not_negative, probability, skips
from rehear.signals import ANY, SAME, WAVEFORM


class Gain:
    """Multiply a clip by a random gain, uniform in dB.

    Args:
        low_db: lowest gain in dB
        high_db: highest gain in dB
        p: probability that a clip is changed

    Shape:
        any, kept

    Raises:
        ValueError: if low_db is above high_db
    """

    takes, gives = ANY, SAME

    def __init__(
        self, *, low_db: float = -6.0, high_db: float = 6.0, p: float = 1.0
    ) -> None:
        if low_db > high_db:
            raise ValueError(f"low_db {low_db} is above high_db {high_db}")
        self.low_db, self.high_db, self.p = low_db, high_db, probability(p)

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if skips(generator, self.p):
            return x
        gain = 10 ** (generator.uniform(self.low_db, self.high_db) / 20)
        return x * np.float32(gain)


class Polarity:
    """Turn a waveform upside down.

    Args:
        p: probability that a clip is changed

    Shape:
        ``(channels, samples)``, kept
    """

    takes, gives = WAVEFORM, SAME

    def __init__(self, *, p: float = 0.5) -> None:
        self.p = probability(p)

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return x if skips(generator, self.p) else -x


class GaussianNoise:
    """Add white Gaussian noise.

    Args:
        std: standard deviation of the noise, in units of the features
        mean: mean of the noise, in units of the features
        p: probability that a clip is changed

    Shape:
        any, kept

    Raises:
        ValueError: if std is negative
    """

    takes, gives = ANY, SAME

    def __init__(
        self, *, std: float = 0.001, mean: float = 0.0, p: float = 1.0
    ) -> None:
        not_negative("std", std)
        self.std, self.mean, self.p = std, mean, probability(p)

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if skips(generator, self.p):
            return x
        noise = generator.standard_normal(x.shape, dtype=np.float32)
        return x + (np.float32(self.std) * noise + np.float32(self.mean))
