"""From predictions to scores, and to the errors that are worth listening to."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rehear import inputs, listening
from rehear.errors import AudioError
from rehear.manifest import Manifest
from rehear.metrics import (
    Metric,
    average_precisions,
    cccs,
    confusion,
    counts,
    f1s,
    maes,
    moments,
    pccs,
    precisions,
    recalls,
    rmses,
    total,
)
from rehear.predictions import Predictions
from rehear.statistics import Bootstrap, Interval

log = logging.getLogger(__name__)

BINS = 10


def score(
    dev: Predictions,
    test: Predictions,
    *,
    metrics: Mapping[str, Metric],
    confidence: float,
    bootstrap: int,
) -> dict[str, Any]:
    """Score one run, ready for ``scores.json``.

    Args:
        dev: predictions of the dev split; metrics without intervals
        test: predictions of the test split
        metrics: by name, the tracked one first
        confidence: level of the intervals
        bootstrap: number of replicates

    Returns:
        ``test`` (values and intervals), ``dev``, ``per_class`` (the interval is
        that of ``interval_of``), ``per_group``, ``confusion`` and
        ``calibration``, where the task has them. Undefined is ``None``.
    """
    draws = Bootstrap(test, replicates=bootstrap, confidence=confidence)
    scores: dict[str, Any] = {
        "task": test.task,
        "labels": list(test.labels),
        "n": {"dev": len(dev), "test": len(test)},
        "test": {
            name: {"value": metric(test), **_limits(draws.interval(metric))}
            for name, metric in metrics.items()
        },
        "dev": {name: metric(dev) for name, metric in metrics.items()},
        **_per_class(test, draws),
        "per_group": _per_group(test, metrics),
    }
    if test.task == "classification":
        scores["confusion"] = confusion(test).tolist()
    if test.task != "regression":
        scores["calibration"] = calibration(test)
    how = {"confidence": confidence, "bootstrap": bootstrap}
    return scores | how | {"clustered": draws.clustered, "note": draws.note}


def _limits(interval: Interval) -> dict[str, float | None]:
    return {"low": interval.low, "high": interval.high}


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _per_class(test: Predictions, draws: Bootstrap) -> dict[str, Any]:
    """Return one row for each label, with the interval of its main number."""
    if test.task == "regression":
        sums, main = moments, "ccc"
        columns = {"ccc": cccs, "pcc": pccs, "mae": maes, "rmse": rmses}
    else:
        sums, main = counts, "recall" if test.task == "classification" else "f1"
        columns = {"recall": recalls, "precision": precisions, "f1": f1s}
    totals = total(sums, test)
    values = {name: of_sums(totals) for name, of_sums in columns.items()}
    if test.task == "tagging":
        values["ap"] = average_precisions(test)
    sizes = totals[0 if test.task == "regression" else 1]
    intervals = draws.intervals(sums, columns[main])
    rows = [
        {
            "label": label,
            "n": int(sizes[i]),
            **{name: _defined(column[i]) for name, column in values.items()},
            **_limits(intervals[i]),
        }
        for i, label in enumerate(test.labels)
    ]
    return {"interval_of": main, "per_class": rows}


def _per_group(
    test: Predictions, metrics: Mapping[str, Metric]
) -> list[dict[str, Any]]:
    if not test.groups.any():
        return []
    names, members = np.unique(test.groups, return_inverse=True)
    rows = []
    for index, name in enumerate(names.tolist()):
        part = test.take(members == index)
        values = {key: metric(part) for key, metric in metrics.items()}
        rows.append({"group": name, "n": len(part), **values})
    return rows


def calibration(test: Predictions) -> dict[str, Any]:
    """Compare how sure the model is with how often it is right.

    Expected calibration error of Guo et al., 2017,
    https://arxiv.org/abs/1706.04599, with bins of equal width: for
    classification over the score of the predicted class, for tagging over the
    scores of all tags.

    Returns:
        ``ece``, and for each bin its limits, ``n``, the mean ``confidence`` and
        the ``accuracy`` (for tagging the share of targets), ``None`` when empty.
    """
    if test.task == "classification":
        sure = test.scores.max(axis=1).astype(np.float64)
        right = test.predictions == test.targets
    else:
        sure = test.scores.ravel().astype(np.float64)
        right = test.targets.ravel() == 1
    index = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    n = np.bincount(index, minlength=BINS)
    confidences = np.bincount(index, weights=sure, minlength=BINS)
    hits = np.bincount(index, weights=right, minlength=BINS)
    gap = float(abs(confidences - hits).sum() / len(sure)) if len(sure) else None
    bins = [
        {
            "low": i / BINS,
            "high": (i + 1) / BINS,
            "n": int(n[i]),
            "confidence": float(confidences[i] / n[i]) if n[i] else None,
            "accuracy": float(hits[i] / n[i]) if n[i] else None,
        }
        for i in range(BINS)
    ]
    return {"ece": gap, "bins": bins}


def _badness(test: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return how wrong each clip is ``(n,)``, and whether it is wrong at all."""
    if test.task == "regression":
        error = abs(test.predictions - test.targets)
        spread = test.targets.std(axis=0)
        error = (error / np.where(spread > 0, spread, 1)).max(axis=1)
        return error, error > 0
    if test.task == "tagging":
        said = np.where(test.targets == 1, test.scores, 1 - test.scores)
        loss = -np.log(np.maximum(said.astype(np.float64), 1e-12)).sum(axis=1)
        return loss, (test.predictions != test.targets).any(axis=1)
    return test.scores.max(axis=1), test.predictions != test.targets


def worst(test: Predictions, k: int) -> list[int]:
    """Return the rows of the worst errors, the worst one first.

    Classification: the highest score of a wrong class. Tagging: the highest
    cross-entropy among clips with a wrong tag. Regression: the largest error in
    standard deviations of the target.
    """
    badness, wrong = _badness(test)
    rows = np.flatnonzero(wrong)
    return rows[np.argsort(-badness[rows], kind="stable")][:k].tolist()


def examples(
    rows: Sequence[int], test: Predictions, manifest: Manifest, study: Path
) -> list[dict[str, Any]]:
    """Return entries of ``examples.json``: what was said, to see and to hear.

    A recording that cannot be read leaves its entry without sound, so that a
    study can be evaluated where only the features are; so does what is no sound.

    Args:
        rows: of ``test``, as ``worst`` gives them
        test: predictions of the test split
        manifest: of the study
        study: folder that the manifest's files are relative to
    """
    clips = {clip.clip: clip for clip in manifest}
    badness, _ = _badness(test)
    entries = []
    for row in rows:
        clip = clips[str(test.clips[row])]
        entry: dict[str, Any] = {
            "clip": clip.clip,
            "file": clip.file,
            "group": clip.group,
            "target": test.text(test.targets[row]),
            "prediction": test.text(test.predictions[row]),
            "score": float(badness[row]),
            "duration": clip.duration,
            "audio": None,
            "spectrogram": None,
        }
        try:
            if inputs.is_sound(clip.file):
                entry |= listening.player(clip, study)
        except AudioError as error:
            log.warning("no sound for the example '%s': %s", clip.clip, error)
        entries.append(entry)
    return entries
