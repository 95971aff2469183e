"""Transforms of the values of an array, whatever it holds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rehear.errors import DataError
from rehear.signals import ANY, SAME, WAVEFORM

if TYPE_CHECKING:
    from torch import nn


class Scale:
    """The values of each clip, from its smallest to its largest, into a range.

    A clip whose values are all equal becomes ``low``.

    Args:
        low: of the smallest value
        high: of the largest value

    Shape:
        any, kept

    Raises:
        ValueError: if low is not below high
    """

    takes, gives = ANY, SAME

    def __init__(self, *, low: float = 0.0, high: float = 1.0) -> None:
        if low >= high:
            raise ValueError(f"low must be below high, got {low:g} and {high:g}")
        self.low, self.high = low, high

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return scaled(x, self.low, self.high)


class Normalize:
    """Subtract a mean and divide by a standard deviation that you give.

    One number for all values, or one for each entry along the first axis:
    channels of images and spectrograms, elements of vectors. For statistics of
    your own training split see ``standardize``.

    Args:
        mean: a number, or a list of them
        std: a number, or a list of them

    Shape:
        any, kept

    Raises:
        ValueError: if a number is not finite or a std not positive
    """

    takes, gives = ANY, SAME

    def __init__(
        self,
        *,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
    ) -> None:
        self.mean, self.std = _numbers("mean", mean), _numbers("std", std)
        if not (self.std > 0).all():
            raise ValueError(f"std must be positive, got {std!r}")
        if 1 < self.mean.size != self.std.size > 1:
            raise ValueError(
                f"mean has {self.mean.size} numbers, but std has {self.std.size}"
            )

    def __call__(self, x: np.ndarray) -> np.ndarray:
        entries = max(self.mean.size, self.std.size)
        if entries > 1 and entries != len(x):
            raise DataError(
                f"has {entries} means or stds for the first axis, but the array has "
                f"the shape {x.shape}; give one number, or {len(x)}"
            )
        shape = (-1,) + (1,) * (x.ndim - 1)
        out = x.astype(np.float32) - self.mean.reshape(shape)
        out /= self.std.reshape(shape)
        return out

    def on_device(self) -> "nn.Module":
        """Return the same for batches of tensors."""
        from rehear.transforms import on_device

        return on_device.Affine(self.mean, 1 / self.std, on_first_axis=True)


class ToFloat:
    """Whole numbers from 0 to 255 to float32 from 0 to 1.

    For what ``spectrogram_image`` gives. With ``online: true`` the store holds
    the bytes, a quarter of the size. Image files need none: they are read as
    numbers from 0 to 1.

    Shape:
        any, kept

    Raises:
        DataError: if the numbers are not uint8
    """

    takes, gives = ANY, SAME

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if x.dtype != np.uint8:
            raise DataError(
                f"takes whole numbers from 0 to 255 (uint8), but got {x.dtype}; put it "
                "right behind 'spectrogram_image', or remove it: "
                "image files are read as numbers from 0 to 1"
            )
        return x.astype(np.float32) / np.float32(255)

    def on_device(self) -> "nn.Module":
        """Return the same for batches of tensors."""
        from rehear.transforms import on_device

        return on_device.Affine(np.zeros(1), np.full(1, 1 / 255))


class Expand:
    """At least a length; what is longer is kept whole.

    See ``fit`` for one length of all clips.

    Args:
        sample_rate: of waveforms, in Hz
        seconds: length of waveforms afterwards, at least
        size: length of any array afterwards, at least, in place of ``seconds``
        axis: along which, counted from 0, or from the end with -1
        mode: what follows a shorter clip: ``zeros``, or ``repeat`` for itself

    Shape:
        any, ``axis`` at least ``size`` or ``round(seconds * sample_rate)``

    Raises:
        ValueError: if an argument is out of range
    """

    gives = SAME

    def __init__(
        self,
        *,
        sample_rate: int,
        seconds: float = 1.0,
        size: int | None = None,
        axis: int = -1,
        mode: str = "zeros",
    ) -> None:
        self.size = round(seconds * sample_rate) if size is None else size
        if self.size < 1:
            raise ValueError(
                "size or seconds must be positive, not "
                f"{seconds if size is None else size!r}"
            )
        if mode not in ("zeros", "repeat"):
            raise ValueError(f"mode must be zeros or repeat, not '{mode}'")
        # Only of waveforms is it known how many samples a second has.
        self.takes = WAVEFORM if size is None else ANY
        self.axis, self.mode = axis, mode

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if not -x.ndim <= self.axis < x.ndim:
            raise DataError(f"an array of shape {x.shape} has no axis {self.axis}")
        length = x.shape[self.axis]
        if length >= self.size:
            return x
        if self.mode == "repeat":
            return x.take(np.arange(self.size) % length, axis=self.axis)
        widths = [(0, 0)] * x.ndim
        widths[self.axis] = (0, self.size - length)
        return np.pad(x, widths)


def scaled(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values from their smallest to their largest in a range, float32."""
    if not x.size:
        return x.astype(np.float32)
    # In float64, since a span of float32 values may be beyond float32.
    values = x.astype(np.float64)
    smallest = values.min()
    span = values.max() - smallest
    if span == 0:
        return np.full(x.shape, low, np.float32)
    out = ((values - smallest) / span * (high - low) + low).astype(np.float32)
    return np.clip(out, np.float32(low), np.float32(high), out=out)


def _numbers(name: str, given: float | Sequence[float]) -> np.ndarray:
    try:
        numbers = np.atleast_1d(np.asarray(given, np.float32))
    except (TypeError, ValueError):
        numbers = np.empty((0, 0), np.float32)
    if numbers.ndim != 1 or not numbers.size or not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be a number or a list of numbers, not {given!r}")
    return numbers
