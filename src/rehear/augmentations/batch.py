"""Augmentations that mix the clips of a batch.

Targets are ``(batch, outputs)`` weights: one-hot rows of classes, multi-hot rows
of tags, or numbers; a mixed clip's target is the weighted mean of both.
"""

from typing import Any

import numpy as np

from rehear.augmentations.chance import probability
from rehear.signals import ANY, IMAGE, SAME, SPECTROGRAM, check_shape

_REGIONS = ("time", "box")


class Mixup:
    """Mix each clip with another one of the batch, targets likewise.

    A batch of one clip stays as it is.

    Source: Zhang et al., "mixup: beyond empirical risk minimization", 2018,
    https://arxiv.org/abs/1710.09412.

    Args:
        alpha: of the Beta(alpha, alpha) distribution of the weight
        per_clip: draw a weight for each clip, not one for the batch
        p: probability that a batch is mixed; with ``per_clip``, that a clip is

    Shape:
        features ``(batch, …)`` and targets ``(batch, outputs)``, kept

    Raises:
        ValueError: if alpha is not above 0
    """

    batch = True
    takes, gives = ANY, SAME

    def __init__(
        self, *, alpha: float = 0.2, per_clip: bool = False, p: float = 1.0
    ) -> None:
        self.alpha, self.per_clip = _positive(alpha), per_clip
        self.p = probability(p)

    def __call__(
        self, x: np.ndarray, targets: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        drawn = _weights(len(x), self.alpha, self.p, self.per_clip, generator)
        if drawn is None:
            return x, targets
        other = generator.permutation(len(x))
        return _mean(x, x[other], drawn), _mean(targets, targets[other], drawn)


class Cutmix:
    """Replace a part of each clip by that of another one of the batch.

    The target's weight is exactly the share of the clip that is kept. A batch of
    one clip stays as it is.

    Source: Yun et al., "CutMix: regularization strategy to train strong
    classifiers with localizable features", 2019,
    https://arxiv.org/abs/1905.04899. The box's centre is uniform and the box is
    cut at the borders, as there.

    Args:
        alpha: of the Beta(alpha, alpha) distribution of the share that is kept
        region: ``time`` replaces a stretch of the last axis, ``box`` a box of the
            last two
        per_clip: draw a region for each clip, not one for the batch
        p: probability that a batch is mixed; with ``per_clip``, that a clip is

    Shape:
        features ``(batch, …, frames)``, for boxes ``(batch, channels, bands,
        frames)``, and targets ``(batch, outputs)``, kept

    Raises:
        ValueError: if alpha is not above 0 or there is no such region
    """

    batch = True
    takes: str | tuple[str, ...] = ANY
    gives = SAME

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        region: str = "time",
        per_clip: bool = False,
        p: float = 1.0,
    ) -> None:
        if region not in _REGIONS:
            raise ValueError(f"region must be {' or '.join(_REGIONS)}, not '{region}'")
        self.alpha, self.region, self.per_clip = _positive(alpha), region, per_clip
        self.p = probability(p)
        if region == "box":
            self.takes = (SPECTROGRAM, IMAGE)

    def __call__(
        self, x: np.ndarray, targets: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        check_shape(self, "cutmix", x[0], what="augmentation")
        drawn = _weights(len(x), self.alpha, self.p, self.per_clip, generator)
        if drawn is None:
            return x, targets
        other = generator.permutation(len(x))
        mixed, kept = x.copy(), np.ones(len(drawn))
        for row, weight in enumerate(drawn):
            region = self._region(x.shape[1:], weight, generator)
            # One region for the batch, or one for each row.
            rows = slice(row, row + 1) if self.per_clip else slice(None)
            place: Any = (Ellipsis, *region)
            mixed[rows][place] = x[other[rows]][place]
            kept[row] = 1 - _share(region, x.shape)
        return mixed, _mean(targets, targets[other], kept)

    def _region(
        self, shape: tuple[int, ...], weight: float, generator: np.random.Generator
    ) -> tuple[slice, ...]:
        if self.region == "time":
            width = round((1 - weight) * shape[-1])
            start = int(generator.integers(0, shape[-1] - width + 1))
            return (slice(start, start + width),)
        side = np.sqrt(1 - weight)
        return tuple(
            _cut(int(generator.integers(0, length)), int(length * side), length)
            for length in shape[-2:]
        )


def _positive(alpha: float) -> float:
    if alpha <= 0:
        raise ValueError(f"alpha must be above 0, not {alpha}")
    return alpha


def _weights(
    count: int, alpha: float, p: float, per_clip: bool, generator: np.random.Generator
) -> np.ndarray | None:
    """Draw one weight, or one for each clip; 1 where a clip stays as it is."""
    draws = count if per_clip else 1
    mixed = generator.random(draws) < p
    if count < 2 or not mixed.any():
        return None
    return np.where(mixed, generator.beta(alpha, alpha, draws), 1.0)


def _mean(x: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean, in the type of ``x``; with weight 1 exactly ``x``."""
    share = weights.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    mixed = share * x + (1 - share) * other
    return np.where(share == 1, x, mixed)


def _cut(centre: int, width: int, length: int) -> slice:
    start = centre - width // 2
    return slice(max(start, 0), max(min(start + width, length), 0))


def _share(region: tuple[slice, ...], shape: tuple[int, ...]) -> float:
    """Return the share of the last axes that a region covers."""
    sizes = shape[len(shape) - len(region) :]
    covered = [part.stop - part.start for part in region]
    return float(np.prod(covered) / np.prod(sizes))
