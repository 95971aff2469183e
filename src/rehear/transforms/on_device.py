"""Transforms of whole batches of tensors, on the device of the model.

Each does what the transform does that makes it, within float32, for features
``(batch, …)``.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class LogMel(nn.Module):
    """Log-mel spectrograms of waveforms.

    Args:
        window: of a frame, ``(n_fft,)``
        filters: ``(n_mels, 1 + n_fft // 2)``
        hop_length: distance between frames, in samples
        amin: smallest power before the logarithm

    Shape:
        ``(batch, channels, samples)`` to
        ``(batch, channels, n_mels, 1 + samples // hop_length)``
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self, window: np.ndarray, filters: np.ndarray, *, hop_length: int, amin: float
    ) -> None:
        super().__init__()
        # Copies, since arrays that are shared must not be changed.
        self.register_buffer("window", torch.tensor(window))
        self.register_buffer("filters", torch.tensor(filters))
        self.hop_length, self.amin = hop_length, amin

    def forward(self, x: Tensor) -> Tensor:
        n_fft, batch = len(self.window), x.shape[:2]
        places = _reflected(x.shape[-1], n_fft // 2).to(x.device)
        frames = x[..., places].unfold(-1, n_fft, self.hop_length)
        spectrum = torch.fft.rfft(frames * self.window)
        power = spectrum.real.square() + spectrum.imag.square()
        mel = power.flatten(0, 1) @ self.filters.T
        mel = mel.transpose(1, 2).clamp_min(self.amin)
        return (10 * torch.log10(mel)).reshape(*batch, *mel.shape[1:])


class Affine(nn.Module):
    """``(x - mean) * scale``.

    Args:
        mean: that can be broadcast to one clip
        scale: likewise
        on_first_axis: whether both are numbers for the entries of a clip's first
            axis

    Shape:
        any, kept
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, mean: np.ndarray, scale: np.ndarray, *, on_first_axis: bool = False
    ) -> None:
        super().__init__()
        self.on_first_axis = on_first_axis
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        mean, scale = self.mean, self.scale
        if self.on_first_axis:
            shape = (-1,) + (1,) * (x.ndim - 2)
            mean, scale = mean.reshape(shape), scale.reshape(shape)
        return (x - mean) * scale


class Mono(nn.Module):
    """The mean of all channels.

    Shape:
        ``(batch, channels, samples)`` to ``(batch, 1, samples)``
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1, keepdim=True)


class Fit(nn.Module):
    """One length: zeros behind, or the middle.

    Args:
        samples: afterwards

    Shape:
        ``(batch, channels, …)`` to ``(batch, channels, samples)``
    """

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples

    def forward(self, x: Tensor) -> Tensor:
        more = self.samples - x.shape[-1]
        if more >= 0:
            return functional.pad(x, (0, more))
        first = -more // 2
        return x[..., first : first + self.samples]


def _reflected(length: int, margin: int) -> Tensor:
    """Return the places that samples come from, with reflected edges.

    As ``numpy.pad``, which reflects a short clip more than once.
    """
    places = torch.arange(-margin, length + margin)
    if length == 1:
        return torch.zeros_like(places)
    period = 2 * (length - 1)
    places = places % period
    return torch.where(places < length, places, period - places)
