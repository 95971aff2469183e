"""Two versions of a file of results, number by number.

How far two numbers may lie apart follows from what training with another seed
changes: half a standard deviation over the study's seeds. A difference below
that cannot carry a conclusion that the study itself could draw.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

#: Share of the standard deviation over seeds that counts as the same.
SHARE = 0.5
#: Smallest tolerance: what other processors change in arithmetic alone.
FLOOR = 1e-6
#: Tolerance where one run gives no standard deviation.
SINGLE_RUN = 1e-3
#: Identify a row or a run, so they must be equal.
_EXACT = frozenset({"n", "runs", "run", "seed", "fold"})

Place = tuple[str, ...]


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


def tolerances(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the tolerance of each metric from ``metrics/summary.json``.

    With several runs it is ``SHARE`` of their standard deviation and at least
    ``FLOOR``; with one run ``SINGLE_RUN``. The latter two grow with the mean
    where that is above one, for metrics in units.

    Example:
        >>> tolerances({"uar": {"mean": 0.8, "std": 0.02, "n": 3}, "runs": 3})
        {'uar': 0.01}
    """
    found = {}
    for metric, entry in summary.items():
        if not isinstance(entry, Mapping):
            continue
        mean, std = entry.get("mean"), entry.get("std")
        scale = max(1.0, abs(mean)) if _is_number(mean) else 1.0
        if _is_number(std):
            found[metric] = max(FLOOR * scale, SHARE * std)
        else:
            found[metric] = SINGLE_RUN * scale
    return found


@dataclass(frozen=True)
class Rule:
    """How far the values of one file may lie apart.

    Attributes:
        metrics: tolerance of each metric
        strict: the file is computed from equal inputs, so only rounding is
            allowed, for every value
    """

    metrics: Mapping[str, float]
    strict: bool = False

    def of(self, file: str, place: Place, value: Any) -> float | None:
        """Return the tolerance of one value, or ``None`` if it decides nothing."""
        if self.strict:
            return FLOOR * max(1.0, abs(value)) if _is_number(value) else 0.0
        name = file.rpartition("/")[2]
        if name == "summary.json":
            if place[-1] in _EXACT:
                return 0.0
            return self.metrics.get(place[0]) if place[-1] == "mean" else None
        if name == "runs.csv":
            column = place[-1].rpartition(".")[2]
            return 0.0 if column in _EXACT else self.metrics.get(column)
        if name == "scores.json" and place[0] in ("test", "dev"):
            is_value = place[2:] in ((), ("value",))
            return self.metrics.get(place[1]) if is_value else None
        return None


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
