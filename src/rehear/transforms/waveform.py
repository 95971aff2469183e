"""Transforms from waveform to waveform."""

from typing import TYPE_CHECKING

import numpy as np

from rehear import resampling
from rehear.signals import WAVEFORM

if TYPE_CHECKING:
    from torch import nn


class Mono:
    """The mean of all channels.

    Shape:
        ``(channels, samples)`` to ``(1, samples)``
    """

    takes = gives = WAVEFORM

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if len(x) == 1:
            return x
        return x.mean(axis=0, keepdims=True, dtype=np.float32)

    def on_device(self) -> "nn.Module":
        """Return the same for batches of tensors."""
        from rehear.transforms import on_device

        return on_device.Mono()


class Fit:
    """One duration for all clips.

    A shorter clip is followed by zeros. Of a longer one the middle is kept,
    where recordings of single events usually have theirs.

    Args:
        seconds: duration afterwards
        sample_rate: of the waveform, in Hz

    Shape:
        ``(channels, samples)`` to ``(channels, round(seconds * sample_rate))``

    Raises:
        ValueError: if not even one sample is left
    """

    takes = gives = WAVEFORM

    def __init__(self, *, sample_rate: int, seconds: float = 1.0) -> None:
        self.samples = round(seconds * sample_rate)
        if self.samples < 1:
            raise ValueError(f"seconds must be positive, not {seconds!r}")

    def on_device(self) -> "nn.Module":
        """Return the same for batches of tensors."""
        from rehear.transforms import on_device

        return on_device.Fit(self.samples)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        channels, samples = x.shape
        if samples >= self.samples:
            first = (samples - self.samples) // 2
            return x[:, first : first + self.samples]
        padded = np.zeros((channels, self.samples), x.dtype)
        padded[:, :samples] = x
        return padded


class Resample:
    """Another sample rate, for what follows in the list.

    Recordings are resampled to ``preprocess.sample_rate`` when they are read; this
    is for a lower rate after a part that needs the higher one.

    Source: ``torchaudio.functional.resample``, see ``rehear.resampling``.

    Args:
        sample_rate: of the waveform, in Hz
        rate: wanted, in Hz

    Shape:
        ``(channels, samples)`` to
        ``(channels, ceil(samples * rate / sample_rate))``

    Raises:
        ValueError: if the rate is not positive
    """

    takes = gives = WAVEFORM

    def __init__(self, *, sample_rate: int, rate: int = 8000) -> None:
        if rate < 1:
            raise ValueError(f"rate must be positive, not {rate} Hz")
        self.sample_rate, self.rate_after = sample_rate, rate

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return resampling.resample(x, self.sample_rate, self.rate_after)
