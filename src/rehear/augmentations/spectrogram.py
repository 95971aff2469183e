"""Masks of spectrograms ``(channels, bands, frames)``, and SpecAugment.

Source: Park et al., "SpecAugment: a simple data augmentation method for
automatic speech recognition", 2019, https://arxiv.org/abs/1904.08779.
"""

import numpy as np

from rehear.augmentations.chance import not_negative, probability, skips
from rehear.augmentations.warp import TimeWarp
from rehear.errors import suggest
from rehear.signals import IMAGE, SAME, SPECTROGRAM, check_shape

_FILLS = ("mean", "zero")


class _Mask:
    """Replace random stripes along one axis.

    A stripe's width is uniform in 0…width, its start uniform among the places
    where it fits.
    """

    takes, gives = (SPECTROGRAM, IMAGE), SAME
    axis: int
    name: str

    def __init__(
        self,
        *,
        width: int = 10,
        count: int = 1,
        proportion: float = 1.0,
        fill: str = "mean",
        p: float = 1.0,
    ) -> None:
        not_negative("width", width)
        not_negative("count", count)
        if not 0 <= proportion <= 1:
            raise ValueError(f"proportion must be from 0 to 1, not {proportion}")
        if fill not in _FILLS:
            known = " or ".join(_FILLS)
            raise ValueError(
                f"fill must be {known}, not '{fill}'.{suggest(fill, _FILLS)}"
            )
        self.width, self.count, self.proportion = width, count, proportion
        self.fill, self.p = fill, probability(p)

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        check_shape(self, self.name, x, what="augmentation")
        if skips(generator, self.p):
            return x
        masked = x.copy()
        self.mask(masked, generator, value=self.value(x))
        return masked

    def value(self, x: np.ndarray) -> np.ndarray:
        """Return what stripes are filled with."""
        return x.mean() if self.fill == "mean" else np.zeros((), x.dtype)

    def mask(
        self, x: np.ndarray, generator: np.random.Generator, *, value: np.ndarray
    ) -> None:
        """Mask stripes in place."""
        length = x.shape[self.axis]
        widest = min(self.width, int(self.proportion * length))
        stripes = np.moveaxis(x, self.axis, 0)
        for _ in range(self.count):
            width = int(generator.integers(0, widest + 1))
            start = int(generator.integers(0, length - width + 1))
            stripes[start : start + width] = value


class TimeMask(_Mask):
    """Mask stripes of up to ``width`` frames.

    Args:
        width: widest stripe, in frames
        count: number of stripes
        proportion: widest stripe as a share of the clip, the paper's p
        fill: ``mean`` of the clip, or ``zero``
        p: probability that a clip is changed

    Shape:
        ``(channels, bands, frames)``, kept

    Raises:
        ValueError: if an argument is out of its range
    """

    axis, name = -1, "time_mask"


class FrequencyMask(_Mask):
    """Mask stripes of up to ``width`` frequency bands.

    Args:
        width: widest stripe, in bands
        count: number of stripes
        proportion: widest stripe as a share of all bands
        fill: ``mean`` of the clip, or ``zero``
        p: probability that a clip is changed

    Shape:
        ``(channels, bands, frames)``, kept

    Raises:
        ValueError: if an argument is out of its range
    """

    axis, name = -2, "frequency_mask"


class SpecAugment:
    """Warp time, then mask frequency bands, then frames, as in the paper.

    Its policies for LibriSpeech: LB is ``time_warp: 80, frequency_width: 27,
    time_width: 100``; LD has ``frequency_masks: 2, time_masks: 2`` besides. The
    mean that fills stripes is that of the warped clip before any mask.

    Source: Park et al., 2019, https://arxiv.org/abs/1904.08779.

    Args:
        time_warp: largest displacement in frames, the paper's W; 0 does not warp
        frequency_width: widest stripe of bands, the paper's F
        frequency_masks: number of stripes of bands
        time_width: widest stripe of frames, the paper's T
        time_masks: number of stripes of frames
        time_proportion: widest stripe of frames as a share of the clip
        fill: ``mean`` of the clip, or ``zero``
        p: probability that a clip is changed

    Shape:
        ``(channels, bands, frames)``, kept

    Raises:
        ValueError: if an argument is out of its range
    """

    takes, gives = (SPECTROGRAM, IMAGE), SAME

    def __init__(
        self,
        *,
        time_warp: int = 10,
        frequency_width: int = 10,
        frequency_masks: int = 1,
        time_width: int = 20,
        time_masks: int = 1,
        time_proportion: float = 1.0,
        fill: str = "mean",
        p: float = 1.0,
    ) -> None:
        self.warp = TimeWarp(distance=time_warp)
        self.masks = (
            FrequencyMask(width=frequency_width, count=frequency_masks, fill=fill),
            TimeMask(
                width=time_width,
                count=time_masks,
                proportion=time_proportion,
                fill=fill,
            ),
        )
        self.p = probability(p)

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        check_shape(self, "spec_augment", x, what="augmentation")
        if skips(generator, self.p):
            return x
        changed = self.warp.warped(x, generator).copy()
        value = self.masks[0].value(changed)
        for mask in self.masks:
            mask.mask(changed, generator, value=value)
        return changed
