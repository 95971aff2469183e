"""What a model said about every clip of a split, beside what is true.

A table of predictions is all that metrics, intervals and reports read. It is
a plain CSV, so that any other tool can check the numbers:

=============== ==========================================================
task            columns
=============== ==========================================================
classification  clip, group, target, prediction, score.<label> …
tagging         clip, group, targets, predictions (``;`` between tags),
                score.<label> …
regression      clip, group, target.<name> …, prediction.<name> …
=============== ==========================================================

Numbers are written so that reading gives the same bits back.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rehear import atomic
from rehear.errors import DataError, ModelError
from rehear.manifest import LABEL_SEPARATOR, TARGET_PREFIX

SCORE_PREFIX = "score."
PREDICTION_PREFIX = "prediction."
_HEAD = {
    "classification": ("clip", "group", "target", "prediction"),
    "tagging": ("clip", "group", "targets", "predictions"),
    "regression": ("clip", "group"),
}


@dataclass(frozen=True, eq=False)
class Predictions:
    """Targets, predictions and scores of some clips.

    Attributes:
        task: ``classification``, ``tagging`` or ``regression``
        labels: classes, tags or names of targets
        clips: identifiers ``(n,)``
        groups: group of each clip ``(n,)``; empty text where there is none
        targets: class indices ``(n,)``, 0 or 1 ``(n, labels)``, or numbers
            ``(n, labels)``
        predictions: in the form of ``targets``
        scores: ``(n, labels)`` float32; for regression the predictions

    Raises:
        ModelError: if scores are not finite
        ValueError: if shapes do not fit
    """

    task: str
    labels: tuple[str, ...]
    clips: np.ndarray
    groups: np.ndarray
    targets: np.ndarray
    predictions: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        is_numeric = self.task == "regression"
        kinds = {
            "clips": np.str_,
            "groups": np.str_,
            "targets": np.float64 if is_numeric else np.int64,
            "predictions": np.float32 if is_numeric else np.int64,
            "scores": np.float32,
        }
        for name, kind in kinds.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=kind))
        object.__setattr__(self, "labels", tuple(self.labels))
        self._check()

    def _check(self) -> None:
        n, width = len(self.clips), len(self.labels)
        form = (n,) if self.task == "classification" else (n, width)
        for name, expected in (
            ("groups", (n,)),
            ("targets", form),
            ("predictions", form),
            ("scores", (n, width)),
        ):
            found = getattr(self, name).shape
            if found != expected:
                raise ValueError(f"{name} has the shape {found}, expected {expected}")
        broken = ~np.isfinite(self.scores).all(axis=1)
        if broken.any():
            raise ModelError(
                f"{int(broken.sum())} of {n} clips have scores that are not finite, "
                f"first '{self.clips[broken][0]}'; the model diverged: lower train.lr "
                "or set train.clip_norm"
            )

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def has_groups(self) -> bool:
        """Whether every clip belongs to a group, and there are at least two."""
        return bool((self.groups != "").all()) and len(np.unique(self.groups)) > 1

    def take(self, rows: np.ndarray) -> "Predictions":
        """Return the rows at ``rows`` (indices, repeated ones too, or a mask)."""
        return Predictions(
            task=self.task,
            labels=self.labels,
            clips=self.clips[rows],
            groups=self.groups[rows],
            targets=self.targets[rows],
            predictions=self.predictions[rows],
            scores=self.scores[rows],
        )

    def text(self, values: np.ndarray) -> str:
        """Return one row of ``targets`` or ``predictions`` in words."""
        if self.task == "classification":
            return self.labels[int(values)]
        if self.task == "tagging":
            return LABEL_SEPARATOR.join(self.labels[i] for i in np.flatnonzero(values))
        return ", ".join(
            f"{name} {value:.3g}"
            for name, value in zip(self.labels, values, strict=True)
        )


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """Return all rows of ``parts``, for example of the folds of one seed.

    A class that some parts lack, since no training clip of their fold has it,
    has the score 0 there.

    Raises:
        DataError: if tasks or names of targets differ
    """
    first = parts[0]
    labels = tuple(sorted({label for part in parts for label in part.labels}))
    if len({part.task for part in parts}) > 1 or (
        first.task == "regression" and any(p.labels != first.labels for p in parts)
    ):
        raise DataError(
            "predictions of different tasks or targets cannot be pooled; "
            "run `rehear evaluate` again for every run"
        )
    if any(part.labels != first.labels for part in parts):
        parts = [_relabel(part, labels) for part in parts]
    return Predictions(
        task=first.task,
        labels=parts[0].labels,
        clips=np.concatenate([part.clips for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        predictions=np.concatenate([part.predictions for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
    )


def _relabel(part: Predictions, labels: tuple[str, ...]) -> Predictions:
    place = np.array([labels.index(label) for label in part.labels])

    def widen(values: np.ndarray) -> np.ndarray:
        wide = np.zeros((len(part), len(labels)), values.dtype)
        wide[:, place] = values
        return wide

    is_tagging = part.task == "tagging"
    return Predictions(
        task=part.task,
        labels=labels,
        clips=part.clips,
        groups=part.groups,
        targets=widen(part.targets) if is_tagging else place[part.targets],
        predictions=widen(part.predictions) if is_tagging else place[part.predictions],
        scores=widen(part.scores),
    )


def write(path: Path, predictions: Predictions) -> None:
    """Write predictions; equal predictions give equal bytes."""
    header = list(_HEAD[predictions.task])
    if predictions.task == "regression":
        header += [TARGET_PREFIX + label for label in predictions.labels]
        header += [PREDICTION_PREFIX + label for label in predictions.labels]
    else:
        header += [SCORE_PREFIX + label for label in predictions.labels]
    with atomic.file(path, "w") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        for row in range(len(predictions)):
            writer.writerow(_cells(predictions, row))


def _cells(p: Predictions, row: int) -> list[str]:
    cells = [str(p.clips[row]), str(p.groups[row])]
    # 9 digits identify a float32, repr a float64
    scores = [f"{score:.9g}" for score in p.scores[row].tolist()]
    if p.task == "regression":
        return cells + [repr(value) for value in p.targets[row].tolist()] + scores
    return [*cells, p.text(p.targets[row]), p.text(p.predictions[row]), *scores]


def read(path: Path) -> Predictions:
    """Read predictions.

    Raises:
        DataError: if the file is missing or malformed; the text names the row
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist; run `rehear evaluate` (or `dvc repro`) first"
        ) from None
    header, body = (rows[0], rows[1:]) if rows else ([], [])
    task, labels = _layout(path, header)
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise DataError(
                f"{path} row {number}: {len(row)} cells, expected {len(header)}; "
                "run `rehear evaluate` again"
            )
    return _parse(path, task, labels, body)


def _layout(path: Path, header: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    for task, head in _HEAD.items():
        extra = header[len(head) :]
        if tuple(header[: len(head)]) != head:
            continue
        if task != "regression":
            prefix, labels = SCORE_PREFIX, extra
        else:
            prefix, labels = TARGET_PREFIX, extra[: len(extra) // 2]
        if labels and all(column.startswith(prefix) for column in labels):
            return task, tuple(column.removeprefix(prefix) for column in labels)
    raise DataError(
        f"{path} row 1: columns are {', '.join(header) or 'missing'}; expected clip, "
        "group, target, prediction, score.<label> …; run `rehear evaluate` again"
    )


def _parse(
    path: Path, task: str, labels: tuple[str, ...], body: Sequence[Sequence[str]]
) -> Predictions:
    index = {label: i for i, label in enumerate(labels)}
    targets: list[object] = []
    predictions: list[object] = []
    scores: list[list[float]] = []
    for number, row in enumerate(body, start=2):
        try:
            numbers = [float(cell) for cell in row[len(_HEAD[task]) :]]
            if task == "regression":
                targets.append(numbers[: len(labels)])
                numbers = numbers[len(labels) :]
                predictions.append(numbers)
            else:
                targets.append(_encode(row[2], index, task))
                predictions.append(_encode(row[3], index, task))
            scores.append(numbers)
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{path} row {number}: {error} is no label or number of this table; "
                "run `rehear evaluate` again"
            ) from None
    form = (-1,) if task == "classification" else (-1, len(labels))
    return Predictions(
        task=task,
        labels=labels,
        clips=np.array([row[0] for row in body], dtype=np.str_),
        groups=np.array([row[1] for row in body], dtype=np.str_),
        targets=np.array(targets).reshape(form),
        predictions=np.array(predictions).reshape(form),
        scores=np.array(scores, dtype=np.float32).reshape(-1, len(labels)),
    )


def _encode(cell: str, index: dict[str, int], task: str) -> int | list[int]:
    if task == "classification":
        return index[cell]
    hot = [0] * len(index)
    for tag in cell.split(LABEL_SEPARATOR) if cell else ():
        hot[index[tag]] = 1
    return hot
