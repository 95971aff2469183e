"""How sure a number is: bootstrap intervals over clips, t-intervals over runs.

The interval of one run says how much its score would vary with another draw
of test clips: percentile bootstrap (Efron, 1979), where whole groups are drawn
when clips have groups, since clips of one speaker or site are not independent
(cluster bootstrap; Field & Welsh, 2007). With fewer than five groups that is
degenerate (two groups that score alike give an interval of no width), so clips
are drawn then, and a note says so. The interval over runs says how much the
score varies with the seed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rehear.metrics import Metric, OfSums, Sums
from rehear.predictions import Predictions
from rehear.randomness import generator

FEW_GROUPS = 5
_CHUNK = 1 << 22  # numbers held at once while drawing


@dataclass(frozen=True)
class Interval:
    """Limits of an interval; ``None`` where the value is undefined."""

    low: float | None
    high: float | None


class Bootstrap:
    """Resamples of one table of predictions, the same ones for every metric.

    A replicate draws as many clips (or groups) as there are, with replacement.
    Clips of a classification are drawn as counts of the confusion matrix, from
    the multinomial distribution: the same distribution, at a cost that does not
    depend on the number of clips.

    Args:
        predictions: what is resampled
        replicates: number of resamples
        confidence: level of the intervals, 0.95 for 95 %

    Attributes:
        clustered: whether whole groups are drawn
        note: what weakens the intervals, or empty
    """

    def __init__(
        self, predictions: Predictions, *, replicates: int, confidence: float
    ) -> None:
        self.predictions = predictions
        self.replicates = replicates
        self.confidence = confidence
        names, self._group = np.unique(predictions.groups, return_inverse=True)
        self.clustered = predictions.has_groups and len(names) >= FEW_GROUPS
        self._units = len(names) if self.clustered else len(predictions)
        self.note = self._note()
        self._drawn: dict[Sums, np.ndarray] = {}

    def _note(self) -> str:
        if self.clustered or not self.predictions.groups.any():
            return ""
        found = len(np.unique(self.predictions.groups))
        why = f"only {found} group{'s' * (found > 1)}"
        if (self.predictions.groups == "").any():
            why = "clips without a group"
        return (
            f"{why} in the test split: intervals draw single clips, and leave out "
            "how much groups differ"
        )

    def interval(self, metric: Metric) -> Interval:
        """Return the interval of a metric."""
        if not len(self.predictions):
            return Interval(None, None)
        if metric.sums is not None and metric.of_sums is not None:
            values = metric.of_sums(self.sums(metric.sums))
        elif metric.weighted is not None:
            drawn = self._weights()
            if self.clustered:
                drawn = (weights[:, self._group] for weights in drawn)
            parts = [metric.weighted(self.predictions, weights) for weights in drawn]
            values = np.concatenate(parts)
        else:
            values = self._one_by_one(metric)
        return self._limits(values[:, np.newaxis])[0]

    def intervals(self, sums: Sums, of_sums: OfSums) -> list[Interval]:
        """Return the interval of each label, from additive terms.

        Args:
            sums: as ``Metric.sums``
            of_sums: sums ``(replicates, …)`` → values ``(replicates, labels)``
        """
        if not len(self.predictions):
            return [Interval(None, None)] * len(self.predictions.labels)
        return self._limits(of_sums(self.sums(sums)))

    def sums(self, sums: Sums) -> np.ndarray:
        """Return the sums of additive terms in each replicate."""
        if sums not in self._drawn:
            terms, rows = sums(self.predictions)
            shape, flat = terms.shape[1:], terms.reshape(len(terms), -1)
            if self.clustered:
                by_group = np.zeros((self._units, flat.shape[1]))
                np.add.at(by_group, self._group, flat[rows])
                weights, flat = self._weights(), by_group
            elif len(terms) == len(self.predictions):
                weights, flat = self._weights(), flat[rows]
            else:
                weights = self._cells(np.bincount(rows, minlength=len(terms)))
            totals = np.concatenate([part @ flat for part in weights])
            self._drawn[sums] = totals.reshape(-1, *shape)
        return self._drawn[sums]

    def _chunks(self, width: int) -> Iterator[int]:
        size = max(1, _CHUNK // max(width, 1))
        for start in range(0, self.replicates, size):
            yield min(size, self.replicates - start)

    def _weights(self) -> Iterator[np.ndarray]:
        """How often each clip or group is drawn, ``(replicates, units)``, in parts."""
        draw, n = generator(0, "bootstrap"), self._units
        for size in self._chunks(len(self.predictions)):
            drawn = draw.integers(n, size=(size, n))
            drawn += np.arange(size)[:, np.newaxis] * n
            times = np.bincount(drawn.ravel(), minlength=size * n)
            yield times.reshape(size, n) * 1.0

    def _cells(self, counts: np.ndarray) -> Iterator[np.ndarray]:
        """The same for clips that fall in cells of equal terms."""
        draw, n = generator(0, "bootstrap"), len(self.predictions)
        for size in self._chunks(len(counts)):
            yield draw.multinomial(n, counts / n, size=size) * 1.0

    def _one_by_one(self, metric: Metric) -> np.ndarray:
        order = np.argsort(self._group, kind="stable")
        members = np.split(order, np.cumsum(np.bincount(self._group))[:-1])
        draw, n, values = generator(0, "bootstrap"), self._units, []
        for _ in range(self.replicates):
            drawn = draw.integers(n, size=n)
            if self.clustered:
                drawn = np.concatenate([members[group] for group in drawn])
            value = metric(self.predictions.take(drawn))
            values.append(math.nan if value is None else value)
        return np.array(values)

    def _limits(self, values: np.ndarray) -> list[Interval]:
        tail = (1 - self.confidence) / 2
        limits = []
        for column in values.T:
            defined = column[~np.isnan(column)]
            # An interval from the few replicates where a metric happens to be
            # defined would describe those, not the metric.
            if len(defined) * 2 < self.replicates:
                limits.append(Interval(None, None))
                continue
            low, high = np.quantile(defined, [tail, 1 - tail])
            limits.append(Interval(float(low), float(high)))
        return limits


@dataclass(frozen=True)
class Summary:
    """Several runs in a few numbers.

    Attributes:
        mean: of the runs in which the value is defined
        std: sample standard deviation (n − 1); absent for one run
        low: lower limit of the t-interval of the mean; absent for one run
        high: upper limit
        n: number of runs in which the value is defined
    """

    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    n: int


def summarise(values: Sequence[float | None], *, confidence: float) -> Summary:
    """Return mean, spread and t-interval of one value per run.

    A run in which the value is undefined does not count.

    Example:
        >>> summarise([0.5, 0.6, 0.7], confidence=0.95).mean
        0.6
        >>> summarise([0.5], confidence=0.95).std is None
        True
    """
    defined = np.array([value for value in values if value is not None])
    n = len(defined)
    if n == 0:
        return Summary(None, None, None, None, 0)
    mean = math.fsum(defined) / n
    if n == 1:
        return Summary(mean, None, None, None, 1)
    std = float(defined.std(ddof=1))
    half = t_quantile((1 + confidence) / 2, n - 1) * std / math.sqrt(n)
    return Summary(mean, std, mean - half, mean + half, n)


def t_quantile(probability: float, degrees: int) -> float:
    """Return the quantile of Student's t distribution.

    Bisection on the finite sums of Abramowitz & Stegun 26.7.3 and 26.7.4, which
    hold for whole degrees of freedom; SciPy would cost half a second to import.

    Args:
        probability: of a smaller value, 0.5 to 1
        degrees: degrees of freedom, at least 1

    Example:
        >>> round(t_quantile(0.975, 2), 4)
        4.3027
    """
    low, high = 0.0, 1.0
    while _t_inside(high, degrees) < 2 * probability - 1:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if _t_inside(middle, degrees) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return high


def _t_inside(t: float, degrees: int) -> float:
    """Return the probability that t lies between ``-t`` and ``t``."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine, odd = math.cos(angle), degrees % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    if odd:
        return (angle + math.sin(angle) * total) * 2 / math.pi
    return math.sin(angle) * total
