"""Two versions of a file of results, number by number.

How far two numbers may lie apart follows from what training with another seed
changes. Other processors round differently, and training can amplify that until
a run has moved as far as another seed would move it, so a single run may move
by two standard deviations over the seeds. Their mean is what a study claims: it
may move by half of one.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

#: Standard deviations over seeds by which the mean of all runs may move.
MEAN_SHARE = 0.5
#: Standard deviations over seeds by which one run may move.
RUN_SHARE = 2.0
#: Smallest tolerance: what other processors change in arithmetic alone.
FLOOR = 1e-6
#: Tolerance where one run gives no standard deviation.
SINGLE_RUN = 1e-3
#: Identify a row or a run, so they must be equal.
_EXACT = frozenset({"n", "n_test", "runs", "run", "seed", "fold"})

Place = tuple[str, ...]


@dataclass(frozen=True)
class Limit:
    """How far the values of a metric may lie apart.

    Attributes:
        mean: for the mean over all runs
        run: for a single run
    """

    mean: float
    run: float


@dataclass(frozen=True)
class Gap:
    """Two values that differ.

    Attributes:
        file: path below the study's root
        place: keys of a JSON file, or row and column of a table
        recorded: value in the commit; ``None`` if absent or undefined
        found: value of the new run
        tolerance: largest difference that counts as the same; ``None`` where
            the value is shown, but does not decide
    """

    file: str
    place: str
    recorded: Any
    found: Any
    tolerance: float | None

    @property
    def size(self) -> float:
        """Absolute difference; infinite if one value is not a number."""
        if _is_number(self.recorded) and _is_number(self.found):
            return abs(self.found - self.recorded)
        return math.inf

    @property
    def is_beyond(self) -> bool:
        """Whether the values differ by more than the tolerance."""
        return self.tolerance is not None and not self.size <= self.tolerance


def limits(summary: Mapping[str, Any]) -> dict[str, Limit]:
    """Return how far each metric may move, from ``metrics/summary.json``.

    With several runs it is ``MEAN_SHARE`` and ``RUN_SHARE`` of their standard
    deviation and at least ``FLOOR``; with one run it is ``SINGLE_RUN``. The
    latter two grow with the mean where that is above one, for metrics in units.

    Example:
        >>> limits({"uar": {"mean": 0.8, "std": 0.02, "n": 3}, "runs": 3})
        {'uar': Limit(mean=0.01, run=0.04)}
    """
    found = {}
    for metric, entry in summary.items():
        if not isinstance(entry, Mapping) or "mean" not in entry:
            continue
        mean, std = entry["mean"], entry.get("std")
        scale = max(1.0, abs(mean)) if _is_number(mean) else 1.0
        if _is_number(std):
            floor = FLOOR * scale
            limit = Limit(max(floor, MEAN_SHARE * std), max(floor, RUN_SHARE * std))
        else:
            limit = Limit(SINGLE_RUN * scale, SINGLE_RUN * scale)
        found[metric] = limit
    return found


@dataclass(frozen=True)
class Rule:
    """How far the values of one file may lie apart.

    Attributes:
        limits: by metric
        strict: the file is computed from equal inputs, so only rounding is
            allowed, for every value
    """

    limits: Mapping[str, Limit]
    strict: bool = False

    def of(self, file: str, place: Place, value: Any) -> float | None:
        """Return the tolerance of one value, or ``None`` if it decides nothing."""
        if self.strict:
            return FLOOR * max(1.0, abs(value)) if _is_number(value) else 0.0
        name = file.rpartition("/")[2]
        if name in ("summary.json", "runs.csv") and place[-1] in _EXACT:
            return 0.0
        if name == "summary.json" and place[-1] == "mean":
            limit = self.limits.get(place[-2])
            return limit.mean if limit else None
        limit = self.limits.get(_metric_of_run(name, place))
        return limit.run if limit else None


def _metric_of_run(name: str, place: Place) -> str:
    """Return which metric of a single run stands in a place; empty if none."""
    if name == "runs.csv":
        return place[-1].removeprefix("test_").removeprefix("dev_")
    is_score = name == "scores.json" and place[0] in ("test", "dev")
    return place[1] if is_score and place[2:] in ((), ("value",)) else ""


def gaps(file: str, recorded: bytes, found: bytes, rule: Rule) -> list[Gap]:
    """Return where two versions of a JSON or CSV file differ.

    Args:
        file: path below the study's root
        recorded: content in the commit
        found: content of the new run
        rule: how far values may lie apart
    """
    try:
        before, after = _values(file, recorded), _values(file, found)
    except ValueError as error:
        return [Gap(file, f"not readable: {error}", None, None, 0.0)]
    different = []
    for place in before.keys() | after.keys():
        one, other = before.get(place), after.get(place)
        if one != other or (place in before) != (place in after):
            tolerance = rule.of(file, place, one)
            different.append(Gap(file, " ".join(place), one, other, tolerance))
    return sorted(different, key=lambda gap: (not gap.is_beyond, gap.place))


def _values(file: str, content: bytes) -> dict[Place, Any]:
    text = content.decode("utf-8")
    if file.endswith(".json"):
        return dict(_leaves(json.loads(text)))
    rows = list(csv.reader(io.StringIO(text)))
    values: dict[Place, Any] = {}
    for number, row in enumerate(rows[1:], start=1):
        for column, cell in zip(rows[0], row, strict=True):
            values[(f"row {number}", column)] = _number(cell)
    return values


def _leaves(node: Any, place: Place = ("",)) -> list[tuple[Place, Any]]:
    if isinstance(node, Mapping):
        items: Sequence[tuple[Any, Any]] = list(node.items())
    elif isinstance(node, list):
        items = list(enumerate(node))
    else:
        return [(place, node)]
    above = () if place == ("",) else place
    return [leaf for key, value in items for leaf in _leaves(value, (*above, str(key)))]


def _number(cell: str) -> Any:
    try:
        number = float(cell)
    except ValueError:
        return cell or None
    return None if math.isnan(number) else number


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
