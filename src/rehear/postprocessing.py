"""All runs of a study in a few tables.

A *run* is one seed and fold. Where a study cross-validates, the test clips of
all folds of a seed are pooled as well: together they are every clip once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rehear import predictions
from rehear.evaluation import BINS, score
from rehear.metrics import Metric
from rehear.params import NO_FOLD
from rehear.predictions import Predictions
from rehear.statistics import summarise

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Run:
    """What one run left.

    Attributes:
        name: as in ``predictions/<name>``
        seed: of the run
        fold: of the run, or ``none``
        scores: content of ``scores.json``
        test: predictions of the test split
        history: rows of ``history.csv``
        config: content of the model's ``config.json``
        examples: content of ``examples.json``
    """

    name: str
    seed: int
    fold: str
    scores: Mapping[str, Any]
    test: Predictions
    history: Sequence[Mapping[str, float | None]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    examples: Sequence[Mapping[str, Any]] = ()


def pool(
    runs: Sequence[Run], *, metrics: Mapping[str, Metric], confidence: float
) -> list[Run]:
    """Return one run for each seed, with the test clips of all of its folds.

    Where there are no folds these are the runs themselves.
    """
    if all(run.fold == NO_FOLD for run in runs):
        return list(runs)
    pooled = []
    for seed in dict.fromkeys(run.seed for run in runs):
        folds = [run for run in runs if run.seed == seed]
        test = predictions.concatenate([run.test for run in folds])
        scores = score(
            test.take(np.arange(0)),
            test,
            metrics=metrics,
            confidence=confidence,
            bootstrap=int(folds[0].scores["bootstrap"]),
        )
        pooled.append(Run(str(seed), seed, "all", scores, test))
    return pooled


def summary(
    runs: Sequence[Run],
    pooled: Sequence[Run],
    *,
    names: Sequence[str],
    confidence: float,
) -> dict[str, Any]:
    """Return mean, standard deviation, t-interval and n of every metric.

    Args:
        runs: of the study
        pooled: as ``pool`` gives them
        names: metrics, the tracked one first
        confidence: level of the intervals

    Returns:
        Content of ``summary.json``: by metric, then ``runs``, and ``pooled``
        (by metric, over the seeds) where the study has folds.
    """

    def table(group: Sequence[Run]) -> dict[str, Any]:
        values = {
            name: [r.scores["test"][name]["value"] for r in group] for name in names
        }
        return {
            name: asdict(summarise(column, confidence=confidence))
            for name, column in values.items()
        }

    result = table(runs) | {"runs": len(runs)}
    if any(run.fold != NO_FOLD for run in runs):
        result["pooled"] = table(pooled)
    return result


def run_rows(runs: Sequence[Run], names: Sequence[str]) -> list[Row]:
    """Return one row for each run: best epoch, dev and test scores."""
    return [
        {
            "run": run.name,
            "seed": run.seed,
            "fold": run.fold,
            "n_test": run.scores["n"]["test"],
            "best_epoch": _best_epoch(run),
            **{f"dev_{name}": run.scores["dev"][name] for name in names},
            **{f"test_{name}": run.scores["test"][name]["value"] for name in names},
            "low": run.scores["test"][names[0]]["low"],
            "high": run.scores["test"][names[0]]["high"],
        }
        for run in runs
    ]


def _best_epoch(run: Run) -> int | None:
    best = [row["epoch"] for row in run.history if row.get("best")]
    return int(best[-1] or 0) if best else None


def curve_rows(runs: Sequence[Run]) -> list[Row]:
    """Return the learning curves of all runs, one row for each run and epoch."""
    return [{"run": run.name, **row} for run in runs for row in run.history]


def confusion_rows(pooled: Sequence[Run]) -> list[Row]:
    """Return actual and predicted class of each test clip in each run."""
    return [
        {"actual": run.test.labels[target], "predicted": run.test.labels[said]}
        for run in pooled
        for target, said in zip(run.test.targets, run.test.predictions, strict=True)
    ]


def confusion_counts(pooled: Sequence[Run]) -> tuple[list[str], np.ndarray]:
    """Return classes, and counts ``(actual, predicted)`` over all runs."""
    labels = sorted({label for run in pooled for label in run.test.labels})
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for run in pooled:
        place = [labels.index(label) for label in run.test.labels]
        counts[np.ix_(place, place)] += np.array(run.scores["confusion"])
    return labels, counts


def per_class_rows(pooled: Sequence[Run]) -> list[Row]:
    """Return one row for each label: means over the runs.

    ``low`` and ``high`` are the means of the runs' bootstrap limits.
    """
    by_label: dict[str, list[Row]] = {}
    for run in pooled:
        for row in run.scores["per_class"]:
            by_label.setdefault(row["label"], []).append(row)
    return [
        {"label": label, "n": rows[0]["n"]} | _means(rows, skip=("label", "n"))
        for label, rows in sorted(by_label.items())
    ]


def per_group_rows(pooled: Sequence[Run]) -> list[Row]:
    """Return one row for each group: means over the runs."""
    by_group: dict[str, list[Row]] = {}
    for run in pooled:
        for row in run.scores["per_group"]:
            by_group.setdefault(row["group"], []).append(row)
    return [
        {"group": group, "n": rows[0]["n"]} | _means(rows, skip=("group", "n"))
        for group, rows in sorted(by_group.items())
    ]


def _means(rows: Sequence[Row], *, skip: Sequence[str]) -> Row:
    means: Row = {}
    for key in rows[0]:
        if key not in skip:
            defined = [row[key] for row in rows if row[key] is not None]
            means[key] = float(np.mean(defined)) if defined else None
    return means


def calibration_rows(pooled: Sequence[Run]) -> list[Row]:
    """Return one row for each bin of confidence that is not empty, over all runs."""
    rows = []
    for index in range(BINS):
        bins = [run.scores["calibration"]["bins"][index] for run in pooled]
        filled = [b for b in bins if b["n"]]
        n = sum(b["n"] for b in filled)
        if not n:
            continue
        row: Row = {"low": bins[0]["low"], "high": bins[0]["high"], "n": n}
        for key in ("confidence", "accuracy"):
            row[key] = sum(b["n"] * b[key] for b in filled) / n
        rows.append(row)
    return rows


def scatter_rows(pooled: Sequence[Run]) -> list[Row]:
    """Return actual and predicted number of each test clip, target and run."""
    return [
        {"target": label, "actual": true, "predicted": said}
        for run in pooled
        for column, label in enumerate(run.test.labels)
        for true, said in zip(
            run.test.targets[:, column].tolist(),
            run.test.predictions[:, column].tolist(),
            strict=True,
        )
    ]


def worst_examples(runs: Sequence[Run], k: int) -> list[Row]:
    """Return the examples that most runs get wrong, then those that are worst.

    Each comes with ``wrong`` and ``runs``: in how many runs its clip is
    predicted wrongly, of how many that tested it.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        for entry in run.examples:
            found.setdefault(entry["clip"], []).append(entry)
    rows = [
        {**max(entries, key=lambda entry: entry["score"]), **_wrong(runs, clip)}
        for clip, entries in found.items()
    ]
    return sorted(rows, key=lambda row: (-row["wrong"], -row["score"]))[:k]


def _wrong(runs: Sequence[Run], clip: str) -> dict[str, int]:
    wrong = tested = 0
    for run in runs:
        for row in np.flatnonzero(run.test.clips == clip):
            tested += 1
            wrong += int(np.any(run.test.targets[row] != run.test.predictions[row]))
    return {"wrong": wrong, "runs": tested}
