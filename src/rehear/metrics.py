"""Metrics: pure functions of a table of predictions.

A metric that is undefined is ``None``, never a substitute value. To add one::

    METRICS.add("my_metric", Metric(my_function, tasks=("classification",)))

where ``my_function(predictions)`` returns a number or ``None``. That is all a
metric needs. The metrics here also say which sums over clips they are made of
(``sums``, ``of_sums``): the bootstrap then resamples sums instead of clips,
which is exact and some hundred times faster.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rehear.catalogue import Catalogue
from rehear.errors import ParamsError, suggest
from rehear.predictions import Predictions

Function = Callable[[Predictions], "float | None"]
Terms = tuple[np.ndarray, np.ndarray]
Sums = Callable[[Predictions], Terms]
OfSums = Callable[[np.ndarray], np.ndarray]
Weighted = Callable[[Predictions, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """A metric, and how it is to be read.

    Attributes:
        function: predictions → number, or ``None`` where it is undefined
        tasks: tasks that it is for
        higher_is_better: whether 0.9 is better than 0.8
        title: name in tables and charts
        sums: predictions → additive terms ``(terms, …)``, and for each clip the
            index ``(n,)`` of its term
        of_sums: terms summed over clips ``(…)`` → metric, NaN where undefined;
            takes any leading axes
        weighted: for a metric that is no function of sums: predictions and
            ``(replicates, n)`` weights of clips → ``(replicates,)``
    """

    function: Function
    tasks: tuple[str, ...]
    higher_is_better: bool = True
    title: str = ""
    sums: Sums | None = None
    of_sums: OfSums | None = None
    weighted: Weighted | None = None

    def __call__(self, predictions: Predictions) -> float | None:
        """Return the metric of ``predictions``."""
        value = self.function(predictions)
        return None if value is None or not np.isfinite(value) else float(value)


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Divide, with NaN where the denominator is 0."""
    return np.divide(over, under, out=np.full(under.shape, np.nan), where=under != 0)


def _mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=-1), defined.sum(axis=-1) * 1.0)


def total(sums: Sums, predictions: Predictions) -> np.ndarray:
    """Return additive terms summed over all clips."""
    terms, rows = sums(predictions)
    weights = np.bincount(rows, minlength=len(terms)) * 1.0
    return np.tensordot(weights, terms, axes=1)


def _additive(
    sums: Sums, of_sums: OfSums, tasks: tuple[str, ...], title: str, *, up: bool = True
) -> Metric:
    def function(predictions: Predictions) -> float | None:
        value = float(of_sums(total(sums, predictions)))
        return None if np.isnan(value) else value

    return Metric(function, tasks, up, title, sums, of_sums)


# --- classification and tagging: true positives, targets, predictions ---------


def confusion(predictions: Predictions) -> np.ndarray:
    """Return counts ``(classes, classes)``: rows are targets, columns predictions."""
    c = len(predictions.labels)
    cells = predictions.targets * c + predictions.predictions
    return np.bincount(cells, minlength=c * c).reshape(c, c)


def counts(predictions: Predictions) -> Terms:
    """Return true positives, targets and predictions, ``(terms, 3, labels)``.

    Every metric of decided labels (accuracy, recall, precision, F1) follows
    from their sums over clips. Clips of a classification that fall in the same
    cell of the confusion matrix share one row.
    """
    if predictions.task == "classification":
        c = len(predictions.labels)
        cells, rows = np.unique(
            predictions.targets * c + predictions.predictions, return_inverse=True
        )
        eye = np.eye(c)
        target, predicted = eye[cells // c], eye[cells % c]
    else:
        rows = np.arange(len(predictions))
        target, predicted = predictions.targets * 1.0, predictions.predictions * 1.0
    return np.stack([target * predicted, target, predicted], axis=1), rows


def recalls(sums: np.ndarray) -> np.ndarray:
    """Return the recall of each label; NaN where it has no target."""
    return _ratio(sums[..., 0, :], sums[..., 1, :])


def precisions(sums: np.ndarray) -> np.ndarray:
    """Return the precision of each label; NaN where it is never predicted."""
    return _ratio(sums[..., 0, :], sums[..., 2, :])


def f1s(sums: np.ndarray) -> np.ndarray:
    """Return F1 of each label; NaN where it is neither target nor predicted."""
    return _ratio(2 * sums[..., 0, :], sums[..., 1, :] + sums[..., 2, :])


def _accuracy(sums: np.ndarray) -> np.ndarray:
    return _ratio(sums[..., 0, :].sum(axis=-1), sums[..., 1, :].sum(axis=-1))


def _uar(sums: np.ndarray) -> np.ndarray:
    return _mean_defined(recalls(sums))


def _f1_macro(sums: np.ndarray) -> np.ndarray:
    return _mean_defined(f1s(sums))


def _f1_micro(sums: np.ndarray) -> np.ndarray:
    total = sums.sum(axis=-1)
    return _ratio(2 * total[..., 0], total[..., 1] + total[..., 2])


ACCURACY = _additive(counts, _accuracy, ("classification",), "Accuracy")
"""Share of clips with the right class."""

UAR = _additive(counts, _uar, ("classification",), "UAR")
"""Unweighted average recall: the mean of the recalls of all classes.

The mean is over the classes that occur among the targets, as in scikit-learn's
``balanced_accuracy_score``; a class without test clips has no recall.
"""

F1_MACRO = _additive(counts, _f1_macro, ("classification", "tagging"), "F1 (macro)")
"""Mean over labels of ``2 · true positives / (targets + predictions)``.

The mean is over the labels that occur among targets or predictions, as
scikit-learn's ``f1_score`` does for classes.
"""

F1_MICRO = _additive(counts, _f1_micro, ("tagging",), "F1 (micro)")
"""F1 of all clips and tags together."""


def average_precisions(
    predictions: Predictions, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the average precision of each tag; NaN where it has no target.

    The area under the precision-recall curve as a sum of steps, without
    interpolation, as in scikit-learn's ``average_precision_score``; clips with
    the same score count as one step.

    Args:
        predictions: of a tagging
        weights: of the clips, ``(…, n)``; each counts once if left out

    Returns:
        ``(…, tags)``
    """
    if weights is None:
        weights = np.ones(len(predictions))
    columns = zip(predictions.targets.T, predictions.scores.T, strict=True)
    return np.stack([_average_precision(t, s, weights) for t, s in columns], axis=-1)


def _average_precision(
    target: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    order = np.argsort(-score, kind="stable")
    score, target, weights = score[order], target[order], weights[..., order]
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], len(score) > 0))
    hits = np.cumsum(weights * target, axis=-1)[..., ends]
    seen = np.cumsum(weights, axis=-1)[..., ends]
    gained = np.diff(hits, axis=-1, prepend=0.0)
    area = (gained * np.divide(hits, seen, out=hits * 1.0, where=seen > 0)).sum(-1)
    return _ratio(area, gained.sum(axis=-1))


def _map_macro(predictions: Predictions) -> float | None:
    value = float(_mean_defined(average_precisions(predictions)))
    return None if np.isnan(value) else value


def _map_weighted(predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    return _mean_defined(average_precisions(predictions, weights))


MAP_MACRO = Metric(_map_macro, ("tagging",), title="mAP", weighted=_map_weighted)
"""Mean average precision over the tags that occur among the targets."""


# --- regression: moments ---------------------------------------------------


def moments(predictions: Predictions) -> Terms:
    """Return ``(n, 8, targets)``, from whose sums every metric below follows.

    1, target, prediction, their squares and product, squared and absolute
    error. Both are shifted by the mean of the targets, which changes no metric
    but keeps the squares from cancelling.
    """
    true = predictions.targets
    said = predictions.predictions.astype(np.float64)
    error = said - true
    shift = true.mean(axis=0) if len(true) else 0.0
    x, y = true - shift, said - shift
    one = np.ones_like(x)
    terms = np.stack([one, x, y, x * x, y * y, x * y, error**2, abs(error)], axis=1)
    return terms, np.arange(len(terms))


def _spread(sums: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return variances, covariance and difference of means, of each target."""
    with np.errstate(invalid="ignore", divide="ignore"):
        n, x, y, xx, yy, xy = (sums[..., i, :] for i in range(6))
        mean_x, mean_y = x / n, y / n
        power_x, power_y = xx / n, yy / n
        var_x, var_y = power_x - mean_x**2, power_y - mean_y**2
        cov = xy / n - mean_x * mean_y
    # What rounding leaves of a constant is not a variance.
    var_x = np.where(var_x > 1e-12 * power_x, var_x, 0.0)
    var_y = np.where(var_y > 1e-12 * power_y, var_y, 0.0)
    return var_x, var_y, np.where((var_x > 0) & (var_y > 0), cov, 0.0), mean_x - mean_y


def cccs(sums: np.ndarray) -> np.ndarray:
    """Return the CCC of each target; NaN for fewer than two clips."""
    var_x, var_y, cov, shift = _spread(sums)
    value = _ratio(2 * cov, var_x + var_y + shift**2)
    return np.where(sums[..., 0, :] > 1, value, np.nan)


def pccs(sums: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each target; NaN for a constant."""
    var_x, var_y, cov, _ = _spread(sums)
    return np.clip(_ratio(cov, np.sqrt(var_x * var_y)), -1, 1)


def mses(sums: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each target."""
    return _ratio(sums[..., 6, :], sums[..., 0, :])


def maes(sums: np.ndarray) -> np.ndarray:
    """Return the mean absolute error of each target."""
    return _ratio(sums[..., 7, :], sums[..., 0, :])


def _over_targets(each: OfSums) -> OfSums:
    """Mean over targets; undefined as soon as it is for one of them."""
    return lambda sums: each(sums).mean(axis=-1)


def _regression(each: OfSums, title: str, *, up: bool = False) -> Metric:
    return _additive(moments, _over_targets(each), ("regression",), title, up=up)


def rmses(sums: np.ndarray) -> np.ndarray:
    """Return the root of the mean squared error of each target."""
    return np.sqrt(mses(sums))


CCC = _regression(cccs, "CCC", up=True)
"""Concordance correlation coefficient (Lin, 1989), mean over targets, −1 to 1.

``2 · cov / (var(target) + var(prediction) + (difference of means)²)`` with
variances over n. It is 0 if one side is constant, and undefined for fewer than
two clips or if both sides are the same constant.
"""

PCC = _regression(pccs, "PCC", up=True)
"""Pearson's correlation, mean over targets; undefined if one side is constant."""

MSE = _regression(mses, "MSE")
"""Mean squared error, mean over targets, in squared units of the target."""

MAE = _regression(maes, "MAE")
"""Mean absolute error, mean over targets, in units of the target."""

RMSE = _regression(rmses, "RMSE")
"""Root of the mean squared error, mean over targets, in units of the target."""


METRICS = Catalogue(
    "metric",
    {
        "accuracy": "rehear.metrics:ACCURACY",
        "uar": "rehear.metrics:UAR",
        "f1_macro": "rehear.metrics:F1_MACRO",
        "f1_micro": "rehear.metrics:F1_MICRO",
        "map_macro": "rehear.metrics:MAP_MACRO",
        "ccc": "rehear.metrics:CCC",
        "pcc": "rehear.metrics:PCC",
        "mse": "rehear.metrics:MSE",
        "mae": "rehear.metrics:MAE",
        "rmse": "rehear.metrics:RMSE",
    },
)


def choose(names: Sequence[str], *, task: str, track: str = "") -> dict[str, Metric]:
    """Return metrics by name, the tracked one first.

    Args:
        names: as in ``evaluate.metrics``; empty takes the task's defaults
        task: that they are for
        track: as in ``train.track``; empty tracks the first metric

    Raises:
        ParamsError: if a metric is unknown or is not for this task
    """
    from rehear.tasks import TASKS

    defaults: tuple[str, ...] = getattr(TASKS.get(task), "metrics", ())
    wanted = [track] if track else []
    wanted += [name for name in (names or defaults) if name not in wanted]
    return {name: metric(name, task=task) for name in wanted}


def metric(name: str, *, task: str) -> Metric:
    """Return one metric.

    Raises:
        ParamsError: if it is unknown or is not for this task
    """
    found = METRICS.get(name)
    if not isinstance(found, Metric):
        raise ParamsError(
            f"metric '{name}' is a {type(found).__name__}; register it as "
            "METRICS.add(name, Metric(function, tasks=(...)))"
        )
    if task not in found.tasks:
        fitting = [n for n in METRICS.names() if task in METRICS.get(n).tasks]  # type: ignore[attr-defined]
        raise ParamsError(
            f"metric '{name}' is for {' and '.join(found.tasks)}, not for {task}."
            f"{suggest(name, fitting)} For {task}: {', '.join(fitting)}"
        )
    return found


def title(name: str) -> str:
    """Return a metric's name for tables and charts."""
    found = METRICS.get(name) if name in METRICS.names() else None
    return (found.title if isinstance(found, Metric) else "") or name
