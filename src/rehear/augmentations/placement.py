"""Augmentations that move a clip's content, or cut a part out of it."""

import numpy as np

from rehear.augmentations.chance import not_negative, probability, skips
from rehear.errors import DataError
from rehear.signals import ANY, IMAGE, SAME, SPECTROGRAM, WAVEFORM, check_shape

_FILLS = ("zeros", "wrap")
_PADS = ("zeros", "repeat")


class TimeShift:
    """Shift a clip along time by a random number of steps, as far either way.

    The shift is uniform in -n…n, both included, where n is the largest one.

    Args:
        sample_rate: of the waveform, in Hz
        seconds: largest shift of a waveform, in seconds; 0.1 where ``frames`` is
            null too
        frames: largest shift of a spectrogram in frames, instead
        fill: ``zeros`` where content has gone, or ``wrap`` it around
        p: probability that a clip is changed

    Shape:
        ``(channels, samples)`` for seconds, ``(channels, bands, frames)`` for
        frames, kept

    Raises:
        ValueError: if both seconds and frames are given, or one is negative
    """

    takes: str | tuple[str, ...] = (WAVEFORM, SPECTROGRAM, IMAGE)
    gives = SAME

    def __init__(
        self,
        *,
        sample_rate: int = 0,
        seconds: float | None = None,
        frames: int | None = None,
        fill: str = "zeros",
        p: float = 1.0,
    ) -> None:
        self.takes, self.most = _length(
            "frames", frames, seconds, rate=sample_rate, usual=0.1
        )
        not_negative("seconds" if frames is None else "frames", self.most)
        if fill not in _FILLS:
            raise ValueError(f"fill must be {' or '.join(_FILLS)}, not '{fill}'")
        self.fill, self.p = fill, probability(p)

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        check_shape(self, "time_shift", x, what="augmentation")
        if skips(generator, self.p):
            return x
        shift = int(generator.integers(-self.most, self.most + 1))
        if self.fill == "wrap":
            return np.roll(x, shift, axis=-1)
        length = x.shape[-1]
        shift = max(-length, min(length, shift))
        shifted = np.zeros_like(x)
        if shift >= 0:
            shifted[..., shift:] = x[..., : length - shift]
        else:
            shifted[..., :shift] = x[..., -shift:]
        return shifted


class RandomCrop:
    """Cut a random part of a fixed length out of a clip.

    There is no probability: all clips of a batch must be of one length.

    Args:
        sample_rate: of the waveform, in Hz
        seconds: length of the part of a waveform, in seconds; 1 where ``size``
            is null too
        size: length of the part along ``axis`` instead, in any array
        axis: along which is cut
        pad: what follows clips that are too short: ``zeros``, or ``repeat`` them

    Shape:
        ``(channels, samples)`` to ``(channels, size)``; with size any, of which
        one axis gets that length

    Raises:
        ValueError: if both seconds and size are given, or the part is empty
    """

    takes: str | tuple[str, ...] = ANY
    gives = SAME

    def __init__(
        self,
        *,
        sample_rate: int = 0,
        seconds: float | None = None,
        size: int | None = None,
        axis: int = -1,
        pad: str = "zeros",
    ) -> None:
        takes, self.size = _length("size", size, seconds, rate=sample_rate, usual=1.0)
        self.takes = takes if size is None else ANY
        if self.size < 1:
            raise ValueError("the part is empty; give seconds or size above 0")
        if pad not in _PADS:
            raise ValueError(f"pad must be {' or '.join(_PADS)}, not '{pad}'")
        self.axis, self.pad = axis, pad

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        check_shape(self, "random_crop", x, what="augmentation")
        if not -x.ndim <= self.axis < x.ndim:
            raise DataError(
                f"augmentation 'random_crop': axis {self.axis} is none of an array of "
                f"shape {x.shape}; correct it"
            )
        length = x.shape[self.axis]
        start = int(generator.integers(0, max(length - self.size, 0) + 1))
        moved = np.moveaxis(x, self.axis, 0)
        part = moved[start : start + self.size]
        if length < self.size and self.pad == "repeat" and length:
            part = moved[np.arange(self.size) % length]
        elif length < self.size:
            part = np.zeros((self.size, *moved.shape[1:]), x.dtype)
            part[:length] = moved
        return np.ascontiguousarray(np.moveaxis(part, 0, self.axis))


def _length(
    name: str, steps: int | None, seconds: float | None, *, rate: int, usual: float
) -> tuple[str | tuple[str, ...], int]:
    """Return what is taken, and a length in samples or other steps."""
    if steps is not None and seconds is not None:
        raise ValueError(
            f"give seconds (for a waveform) or {name} (for other arrays), not both"
        )
    if steps is not None:
        return (SPECTROGRAM, IMAGE), steps
    if rate < 1:
        raise ValueError(f"seconds need a sample rate; give {name}")
    return WAVEFORM, round((usual if seconds is None else seconds) * rate)
