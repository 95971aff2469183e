"""Transforms of images, which spectrograms are too."""

import functools
from collections.abc import Callable

import numpy as np

from rehear.errors import DataError
from rehear.signals import IMAGE, SAME, SPECTROGRAM

INTERPOLATIONS = ("bilinear", "nearest", "bicubic")


class Grey:
    """The luminance of a colour image, ITU-R BT.601.

    One channel is left as it is, and a fourth, the opacity, is left out.

    Source: ``torchvision.transforms.functional.rgb_to_grayscale``.

    Shape:
        ``(channels, height, width)`` to ``(1, height, width)``
    """

    takes, gives = (IMAGE, SPECTROGRAM), SAME

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if len(x) == 1:
            return x
        _check_channels(x)
        weights = np.array([0.2989, 0.587, 0.114], np.float32)
        grey = np.einsum("c,chw->hw", weights, x[:3].astype(np.float32))[None]
        return grey.astype(x.dtype)


class Rgb:
    """Three channels, as models of images take them.

    One channel is repeated; of four, the last, the opacity, is left out.

    Shape:
        ``(channels, height, width)`` to ``(3, height, width)``
    """

    takes, gives = (IMAGE, SPECTROGRAM), SAME

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if len(x) == 1:
            return np.repeat(x, 3, axis=0)
        _check_channels(x)
        return x[:3]


class Square:
    """A square image, by zeros around it or by its middle.

    Where one row or column more is needed on one side, it is the lower or right.

    Args:
        mode: ``pad`` to the longer side, or ``crop`` to the shorter one

    Shape:
        ``(channels, height, width)`` to ``(channels, side, side)``

    Raises:
        ValueError: if there is no such mode
    """

    takes, gives = (IMAGE, SPECTROGRAM), SAME

    def __init__(self, *, mode: str = "pad") -> None:
        if mode not in ("pad", "crop"):
            raise ValueError(f"mode must be pad or crop, not '{mode}'")
        self.mode = mode

    def __call__(self, x: np.ndarray) -> np.ndarray:
        _, height, width = x.shape
        if self.mode == "pad":
            side = max(height, width)
            before = ((side - height) // 2, (side - width) // 2)
            after = (side - height - before[0], side - width - before[1])
            return np.pad(x, ((0, 0), *zip(before, after, strict=True)))
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return x[:, top : top + side, left : left + side]


class Resize:
    """Another height and width.

    Interpolation along an axis is a matrix product, which needs no library of images.

    Source: ``torchvision.transforms.v2.functional.resize`` of float32 tensors,
    within 1e-4 for values from 0 to 1. Whole numbers are rounded after either
    axis, and may be 1 away from torchvision's.

    Args:
        height: afterwards; kept if ``null``
        width: afterwards; kept if ``null``
        interpolation: ``bilinear``, ``nearest`` or ``bicubic``
        antialias: smooth before making smaller; without effect on ``nearest``

    Shape:
        ``(channels, height, width)`` to the new height and width

    Raises:
        ValueError: if a side is not positive or there is no such interpolation
    """

    takes, gives = (IMAGE, SPECTROGRAM), SAME

    def __init__(
        self,
        *,
        height: int | None = 64,
        width: int | None = 64,
        interpolation: str = "bilinear",
        antialias: bool = True,
    ) -> None:
        for name, side in (("height", height), ("width", width)):
            if side is not None and side < 1:
                raise ValueError(f"{name} must be positive or null, not {side}")
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"interpolation must be one of {', '.join(INTERPOLATIONS)}, not "
                f"'{interpolation}'"
            )
        self.height, self.width = height, width
        self.interpolation, self.antialias = interpolation, antialias

    def __call__(self, x: np.ndarray) -> np.ndarray:
        sides = [
            (before, before if after is None else after)
            for before, after in zip(
                x.shape[1:], (self.height, self.width), strict=True
            )
        ]
        if self.interpolation == "nearest":
            rows, columns = (_nearest(old, new) for old, new in sides)
            return x[:, rows[:, None], columns]
        out = x
        for axis, (old, new) in zip((2, 1), reversed(sides), strict=True):
            if old != new:
                weights = _weights(
                    old, new, cubic=self.interpolation == "bicubic", aa=self.antialias
                )
                values = out.astype(np.float32, copy=False)
                values = values @ weights.T if axis == 2 else weights @ values
                out = _as(values, x.dtype)
        return out


def _nearest(old: int, new: int) -> np.ndarray:
    """Return which pixels to take, by torch's positions, which are float32."""
    step = np.float32(old) / np.float32(new)
    places = (np.arange(new, dtype=np.float32) * step).astype(np.int64)
    return np.minimum(places, old - 1)


def _as(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind not in "iu":
        return x
    # Curves of bicubic interpolation may leave the range.
    limits = np.iinfo(dtype)
    return np.clip(np.rint(x), limits.min, limits.max).astype(dtype)


@functools.lru_cache(maxsize=64)
def _weights(old: int, new: int, *, cubic: bool, aa: bool) -> np.ndarray:
    """Return what each of the old values adds to each new one, ``(new, old)``.

    Pixels are areas: the centre of pixel i is at i + 0.5. Antialiasing widens the
    kernel to the distance of the new pixels, and cuts it at the border; without
    it, what lies beyond the border is the outermost pixel.
    """
    step = old / new
    stretch = max(step, 1.0) if aa else 1.0
    reach = 2.0 if cubic else 1.0
    # Keys' cubic kernel: torch takes another slope where it does not antialias.
    kernel = functools.partial(_cubic, a=-0.5 if aa else -0.75) if cubic else _triangle
    centres = step * (np.arange(new) + 0.5)
    if aa:
        distance = (np.arange(old) + 0.5 - centres[:, None]) / stretch
        weights = np.where(np.abs(distance) < reach, kernel(distance), 0)
    else:
        weights = _unclipped(centres - 0.5, old, int(reach), kernel)
    weights /= weights.sum(axis=1, keepdims=True)
    weights = weights.astype(np.float32)
    weights.setflags(write=False)
    return weights


def _unclipped(
    positions: np.ndarray,
    old: int,
    reach: int,
    kernel: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    weights = np.zeros((len(positions), old))
    rows = np.arange(len(positions))
    for offset in range(1 - reach, reach + 1):
        neighbours = np.floor(positions).astype(int) + offset
        share = kernel(positions - neighbours)
        np.add.at(weights, (rows, np.clip(neighbours, 0, old - 1)), share)
    return weights


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(x))


def _cubic(x: np.ndarray, *, a: float) -> np.ndarray:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _check_channels(x: np.ndarray) -> None:
    if len(x) not in (3, 4):
        raise DataError(
            f"takes an image of 1, 3 or 4 channels, but got one of shape {x.shape}"
        )
