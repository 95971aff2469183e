"""Warping of spectrograms along time.

Source: Park et al., "SpecAugment", 2019, https://arxiv.org/abs/1904.08779: a
sparse image warp (thin-plate spline through one moved point and six fixed ones).
"""

import numpy as np

from rehear.augmentations.chance import not_negative, probability, skips
from rehear.signals import IMAGE, SAME, SPECTROGRAM, check_shape


class TimeWarp:
    """Move a random point of a spectrogram along time, and the rest smoothly along.

    The point lies half-way up, more than ``distance`` frames from both ends; it
    moves by a distance uniform in ±``distance``. The corners and the middles of
    both ends stay. Displacements between these points are those of a thin-plate
    spline without regularisation, and are the same in all channels; values
    between frames are interpolated linearly. In clips of few frames ``distance``
    is limited to what fits.

    Source: Park et al., 2019, https://arxiv.org/abs/1904.08779; as TensorFlow
    Addons' ``sparse_image_warp`` with ``interpolation_order=2``.

    Args:
        distance: largest displacement, in frames, the paper's W
        p: probability that a clip is changed

    Shape:
        ``(channels, bands, frames)``, kept

    Raises:
        ValueError: if distance is negative
    """

    takes, gives = (SPECTROGRAM, IMAGE), SAME

    def __init__(self, *, distance: int = 10, p: float = 1.0) -> None:
        not_negative("distance", distance)
        self.distance, self.p = distance, probability(p)

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        check_shape(self, "time_warp", x, what="augmentation")
        return x if skips(generator, self.p) else self.warped(x, generator)

    def warped(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return ``x`` warped; as it is where it is too short or nothing moves."""
        bands, frames = x.shape[-2:]
        most = min(self.distance, (frames - 3) // 2)
        if most < 1:
            return x
        point = int(generator.integers(most + 1, frames - 1 - most))
        move = generator.uniform(-most, most)
        return interpolate(x, displacement(bands, frames, point=point, move=move))


def displacement(bands: int, frames: int, *, point: int, move: float) -> np.ndarray:
    """Return by how many frames each value has moved, ``(bands, frames)``.

    Args:
        bands: of the spectrogram
        frames: of the spectrogram
        point: frame of the point that moves
        move: by how many frames, to the right if positive
    """
    last, time = frames - 1, np.arange(frames, dtype=np.float64)
    if bands == 1:  # the fixed points would lie on a line
        return np.interp(time, [0, point + move, last], [0, move, 0])[None]
    heights = np.array([0, bands - 1, (bands - 1) / 2] * 2 + [(bands - 1) / 2])
    times = np.array([0, 0, 0, last, last, last, point + move])
    corner = np.stack([np.ones(7), heights, times], axis=1)
    system = np.zeros((10, 10))
    system[:7, :7] = _kernel(heights[:, None] - heights, times[:, None] - times)
    system[:7, 7:], system[7:, :7] = corner, corner.T
    weights = np.linalg.solve(system, [0, 0, 0, 0, 0, 0, move, 0, 0, 0])
    band = np.arange(bands, dtype=np.float64)[:, None]
    moved = weights[7] + weights[8] * band + weights[9] * time
    for weight, height, at in zip(weights[:7], heights, times, strict=True):
        moved += weight * _kernel(band - height, time - at)
    return moved


def _kernel(down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return r² log r."""
    square = down * down + across * across
    return 0.5 * square * np.log(np.maximum(square, 1e-10))


def interpolate(x: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Return ``x`` read at ``frame - moved``, linearly between frames.

    Args:
        x: ``(channels, bands, frames)``
        moved: ``(bands, frames)``, in frames
    """
    frames = x.shape[-1]
    source = np.clip(np.arange(frames) - moved, 0, frames - 1)
    left = np.minimum(source.astype(np.int64), max(frames - 2, 0))
    share = (source - left).astype(x.dtype)
    band = np.arange(x.shape[-2])[:, None]
    here, there = x[:, band, left], x[:, band, left + 1]
    return here + share * (there - here)
