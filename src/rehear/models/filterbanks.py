"""First values of learnt filters: their centres and bandwidths, in Hz."""

import math
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Filters = tuple[Tensor, Tensor]
_POINTS = 512  # of the FFT on whose bins ``mel_fft`` measures


def mel(count: int, low: float, high: float, rate: int) -> Filters:
    """Return filters evenly spaced in mel, each from one neighbour to the other."""
    lowest, highest = (math.log1p(f / 700) for f in (low, high))
    peaks = 700 * torch.expm1(_spaced(lowest, highest, count + 2))
    return peaks[1:-1], peaks[2:] - peaks[:-2]


def mel_fft(count: int, low: float, high: float, rate: int) -> Filters:
    """Return what the bins of an FFT show of triangular mel filters.

    Raises:
        ValueError: if a filter lies between two bins
    """
    from torchaudio.functional import melscale_fbanks

    with torch.device("cpu"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "At least one mel filterbank has all zero")
        bank = melscale_fbanks(_POINTS // 2 + 1, low, high, count, rate).T.sqrt()
        peaks, bins = bank.max(dim=1)
    if (peaks == 0).any():
        raise ValueError(
            f"{count} filters from {low:g} Hz on are too narrow for mel-fft; take fewer"
            " filters, or initialization: mel"
        )
    widths = (bank >= peaks[:, None] / 2).sum(dim=1)
    spacing = rate / _POINTS
    half = math.pi / 2 / math.sqrt(2 * math.log(2))
    device = torch.get_default_device()
    return (bins * spacing).to(device), (widths * spacing * half).to(device)


def bark(count: int, low: float, high: float, rate: int) -> Filters:
    """Return filters evenly spaced in Bark, each as wide as the way to the next.

    After Traunmüller, 1990, without his corrections at both ends of the scale.
    """
    edges = [26.81 * f / (1960 + f) - 0.53 for f in (low, high)]
    step = (edges[1] - edges[0]) / max(count - 1, 1)
    barks = edges[0] + step * torch.arange(count + 1)
    centers = 1960 * (barks + 0.53) / (26.28 - barks)
    return centers[:-1], centers.diff()


def linear_constant(count: int, low: float, high: float, rate: int) -> Filters:
    """Return filters evenly spaced in Hz, of one width."""
    return _spaced(low, high, count), _even(count, low, high)


def constant(count: int, low: float, high: float, rate: int) -> Filters:
    """Return equal filters, in the middle of the logarithmic scale."""
    return torch.full((count,), math.sqrt(low * high)), _even(count, low, high)


def uniform(count: int, low: float, high: float, rate: int) -> Filters:
    """Return filters drawn at random, sorted by their centres."""
    centers = low + (high - low) * torch.rand(count).sort().values
    return centers, low + (high - low) / 10 * torch.rand(count)


def zeros(count: int, low: float, high: float, rate: int) -> Filters:
    """Return equal low-pass filters."""
    return torch.zeros(count), torch.full((count,), math.sqrt(high - low))


def _spaced(first: float, last: float, count: int) -> Tensor:
    # The device is named because transformers, while it loads a model, puts another
    # function in the place of linspace; where torch looks then for the first time, it
    # never gives the true one the device in force.
    return torch.linspace(first, last, count, device=torch.get_default_device())


def _even(count: int, low: float, high: float) -> Tensor:
    return torch.full((count,), low * (high / low) ** 0.4)


FILTERBANKS: Mapping[str, Callable[[int, float, float, int], Filters]] = {
    "mel": mel,
    "mel-fft": mel_fft,
    "bark": bark,
    "linear-constant": linear_constant,
    "constant": constant,
    "uniform": uniform,
    "zeros": zeros,
}
