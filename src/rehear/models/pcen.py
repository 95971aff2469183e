"""Per-channel energy normalisation with learnt parameters.

The smoothing is a recursion over frames, but runs as a few matrix products.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-12
_BLOCK = 64  # frames of one matrix product


class Pcen(nn.Module):
    """Each band relative to its recent past, with all parameters learnt per band.

    The background ``m`` of the energy ``x`` starts at the first frame,
    ``m[t] = (1 - s) * m[t - 1] + s * x[t]``, and the output is
    ``(x / (eps + m) ** alpha + delta) ** (1 / root) - delta ** (1 / root)``. As in
    LEAF, ``alpha`` counts as 1 at most and ``root`` as 1 at least; so does ``s`` as
    0 to 1, and ``delta`` as positive.

    Source: Wang et al., "Trainable frontend for robust and far-field keyword
    spotting", 2017, https://arxiv.org/abs/1607.05666; the form with one ``s`` for
    each band and its first values: Zeghidour et al., "LEAF", 2021,
    https://arxiv.org/abs/2101.08596.

    Args:
        bands: of the input

    Shape:
        ``(batch, bands, frames)``, kept
    """

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.s = nn.Parameter(torch.full((bands,), 0.04))
        self.alpha = nn.Parameter(torch.full((bands,), 0.96))
        self.delta = nn.Parameter(torch.full((bands,), 2.0))
        self.root = nn.Parameter(torch.full((bands,), 2.0))

    def forward(self, energy: Tensor) -> Tensor:
        alpha = self.alpha.clamp(max=1)[:, None]
        delta = self.delta.clamp(min=EPS)[:, None]  # the slope at 0 is infinite
        power = 1 / self.root.clamp(min=1)[:, None]
        # Powers by logarithms, which take a fraction of the time of pow.
        background = smoothed(energy, self.s.clamp(0, 1))
        gain = (-alpha * (EPS + background).log()).exp()
        compressed = (power * (energy * gain + delta).log()).exp()
        return compressed - delta.pow(power)


def smoothed(energy: Tensor, s: Tensor) -> Tensor:
    """Return the exponential moving average of each band, from its first frame on.

    Args:
        energy: ``(batch, bands, frames)``
        s: weight of each new frame, ``(bands,)``, 0 to 1
    """
    # The logarithm keeps the digits of a small s; it stays finite where s is 1.
    log_decay = torch.log1p(-s * (1 - torch.finfo(s.dtype).eps / 2))
    first, others = energy[..., :1], energy[..., 1:] * s[:, None]
    return _accumulated(torch.cat([first, others], dim=-1), 1 - s, log_decay)


def _accumulated(x: Tensor, decay: Tensor, log_decay: Tensor) -> Tensor:
    """Return ``y[t] = decay * y[t - 1] + x[t]`` along the last axis.

    Blocks of frames are solved by themselves, as one product with a triangular
    matrix. What each hands on to the next is the same recursion over block ends,
    with the decay of a whole block.
    """
    frames = x.shape[-1]
    size = min(_BLOCK, frames)
    x = functional.pad(x, (0, -frames % size)).reshape(*x.shape[:2], -1, size)
    steps = torch.arange(size, device=x.device)
    # Powers from the first on: exactly 0 where the decay is.
    powers = decay[:, None] * (steps * log_decay[:, None]).exp()
    lag = steps[:, None] - steps
    weights = powers[:, (lag - 1).clamp(min=0)].tril(-1) + (lag == 0)
    y = torch.einsum("bcnj,cij->bcni", x, weights)
    if y.shape[2] > 1:
        ends = _accumulated(y[..., -1], powers[:, -1], size * log_decay)
        before = functional.pad(ends[..., :-1], (1, 0))
        y = y + before[..., None] * powers[:, None]
    return y.flatten(-2)[..., :frames]
