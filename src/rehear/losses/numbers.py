"""Losses of regression."""

from torch import Tensor, nn
from torch.nn import functional


class MSE(nn.Module):
    """Mean squared error of standardised targets.

    Shape:
        logits and targets ``(batch, targets)``
    """

    tasks = ("regression",)

    def __init__(self) -> None:
        super().__init__()

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

    tasks = ("regression",)

    def __init__(self) -> None:
        super().__init__()

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
