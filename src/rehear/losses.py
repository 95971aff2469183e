"""Losses: ``(logits, targets) → scalar``, the mean over a batch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rehear.catalogue import Catalogue
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

    def __init__(self, *, balance: bool = False, counts: Sequence[int] = ()) -> None:
        super().__init__()
        self.register_buffer("weight", _inverse(counts) if balance else None)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            logits.float(),
            targets,
            weight=self.weight,  # type: ignore[arg-type]
        )


class MSE(nn.Module):
    """Mean squared error of standardised targets.

    Shape:
        logits and targets ``(batch, targets)``
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(logits.float(), targets)


class CCC(nn.Module):
    """One minus the concordance correlation coefficient over the batch.

    Source: Lin, "A concordance correlation coefficient to evaluate
    reproducibility", Biometrics 45, 1989; as a loss in Weninger et al.,
    "Discriminatively trained recurrent neural networks for continuous
    dimensional emotion recognition from audio", IJCAI 2016.

    Shape:
        logits and targets ``(batch, targets)``
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        predicted = logits.float()
        mean_p, mean_t = predicted.mean(dim=0), targets.mean(dim=0)
        covariance = ((predicted - mean_p) * (targets - mean_t)).mean(dim=0)
        spread = (
            predicted.var(dim=0, unbiased=False)
            + targets.var(dim=0, unbiased=False)
            + (mean_p - mean_t).square()
        )
        # A batch of one clip has no spread; its loss is then 1, without gradient.
        return (1 - 2 * covariance / spread.clamp_min(1e-12)).mean()


LOSSES = Catalogue(
    "loss",
    {
        "cross_entropy": "rehear.losses:CrossEntropy",
        "binary_cross_entropy": "rehear.losses:BinaryCrossEntropy",
        "mse": "rehear.losses:MSE",
        "ccc": "rehear.losses:CCC",
    },
)


def _inverse(counts: Sequence[int]) -> Tensor:
    if not counts or min(counts) < 1:
        raise ParamsError(
            "train.loss.balance needs at least one training clip of each label; "
            "set balance: false or correct the splits"
        )
    inverse = 1 / torch.tensor(counts, dtype=torch.float32)
    return inverse / inverse.sum() * len(counts)
