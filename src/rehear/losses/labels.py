"""Losses of classes and tags."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rehear.errors import ParamsError


class CrossEntropy(nn.Module):
    """Cross-entropy of one class among several.

    Args:
        balance: weigh classes by their inverse frequency in the training split
        label_smoothing: share of the target spread over all classes
        counts: training clips of each class; given by the program

    Shape:
        logits ``(batch, classes)``; targets ``(batch,)`` class indices or
        ``(batch, classes)`` weights of mixed clips
    """

    tasks = ("classification",)

    def __init__(
        self,
        *,
        balance: bool = False,
        label_smoothing: float = 0.0,
        counts: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", _inverse(counts) if balance else None)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(
            logits.float(),
            targets,
            weight=self.weight,  # type: ignore[arg-type]
            label_smoothing=self.label_smoothing,
        )


class BinaryCrossEntropy(nn.Module):
    """Cross-entropy of every tag on its own.

    Args:
        balance: weigh tags by their inverse frequency in the training split
        counts: training clips with each tag; given by the program

    Shape:
        logits and targets ``(batch, tags)``
    """

    tasks = ("tagging",)

    def __init__(self, *, balance: bool = False, counts: Sequence[int] = ()) -> None:
        super().__init__()
        self.register_buffer("weight", _inverse(counts) if balance else None)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            logits.float(),
            targets,
            weight=self.weight,  # type: ignore[arg-type]
        )


def _inverse(counts: Sequence[int]) -> Tensor:
    if not counts or min(counts) < 1:
        raise ParamsError(
            "train.loss.balance needs at least one training clip of each label; "
            "set balance: false or correct the splits"
        )
    inverse = 1 / torch.tensor(counts, dtype=torch.float32)
    return inverse / inverse.sum() * len(counts)
