"""Augmentations of spectrograms ``(channels, mels, frames)``.

Source: Park et al., "SpecAugment: a simple data augmentation method for
automatic speech recognition", 2019, https://arxiv.org/abs/1904.08779.
"""

import numpy as np


class _Mask:
    """Replace random stripes along one axis by the clip's mean."""

    axis: int

    def __init__(self, *, width: int = 10, count: int = 1, p: float = 1.0) -> None:
        self.width, self.count, self.p = width, count, p

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if generator.random() >= self.p:
            return x
        length = x.shape[self.axis]
        masked = x.copy()
        stripes = np.moveaxis(masked, self.axis, 0)
        for _ in range(self.count):
            width = int(generator.integers(0, min(self.width, length) + 1))
            start = int(generator.integers(0, length - width + 1))
            stripes[start : start + width] = x.mean()
        return masked


class TimeMask(_Mask):
    """Mask stripes of up to ``width`` frames with the clip's mean.

    Args:
        width: widest stripe, in frames
        count: number of stripes
        p: probability that a clip is changed

    Shape:
        ``(…, frames)``, kept
    """

    axis = -1


class FrequencyMask(_Mask):
    """Mask stripes of up to ``width`` mel bands with the clip's mean.

    Args:
        width: widest stripe, in mel bands
        count: number of stripes
        p: probability that a clip is changed

    Shape:
        ``(…, mels, frames)``, kept
    """

    axis = -2
