"""Augmentations that mix the clips of a batch."""

import numpy as np


class Mixup:
    """Mix each clip with another one of the batch, targets likewise.

    Source: Zhang et al., "mixup: beyond empirical risk minimization", 2018,
    https://arxiv.org/abs/1710.09412.

    Args:
        alpha: of the Beta(alpha, alpha) distribution of the weight
        p: probability that a batch is mixed

    Shape:
        features ``(batch, …)`` and targets ``(batch, outputs)``, kept
    """

    batch = True

    def __init__(self, *, alpha: float = 0.2, p: float = 1.0) -> None:
        if alpha <= 0:
            raise ValueError(f"alpha must be above 0, not {alpha}")
        self.alpha, self.p = alpha, p

    def __call__(
        self, x: np.ndarray, targets: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        if generator.random() >= self.p:
            return x, targets
        weight = np.float32(generator.beta(self.alpha, self.alpha))
        other = generator.permutation(len(x))
        mixed = weight * x + (1 - weight) * x[other]
        return mixed, weight * targets + (1 - weight) * targets[other]
