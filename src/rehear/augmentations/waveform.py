"""Augmentations of waveforms, which also suit other features."""

import numpy as np


class Gain:
    """Multiply a clip by a random gain, uniform in dB.

    Args:
        low_db: lowest gain in dB
        high_db: highest gain in dB
        p: probability that a clip is changed

    Shape:
        any, kept
    """

    def __init__(
        self, *, low_db: float = -6.0, high_db: float = 6.0, p: float = 1.0
    ) -> None:
        if low_db > high_db:
            raise ValueError(f"low_db {low_db} is above high_db {high_db}")
        self.low_db, self.high_db, self.p = low_db, high_db, p

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if generator.random() >= self.p:
            return x
        gain = 10 ** (generator.uniform(self.low_db, self.high_db) / 20)
        return x * np.float32(gain)


class GaussianNoise:
    """Add white Gaussian noise.

    Args:
        std: standard deviation of the noise, in units of the features
        p: probability that a clip is changed

    Shape:
        any, kept
    """

    def __init__(self, *, std: float = 0.001, p: float = 1.0) -> None:
        self.std, self.p = std, p

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if generator.random() >= self.p:
            return x
        noise = generator.standard_normal(x.shape, dtype=np.float32)
        return x + np.float32(self.std) * noise
