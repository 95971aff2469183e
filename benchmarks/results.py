"""What a benchmark found, as JSON and as a Markdown table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.measure import Cost, Costs, median


@dataclass(frozen=True)
class Comparison:
    """The same work on two sides.

    Attributes:
        work: what was done
        peer: costs of the other side, in the order of the repeats
        ours: costs of Rehear, measured in turns with those of ``peer``
        target: smallest ratio of wall times that is wanted; ``None`` for none
        unit: ``s`` or ``ms``
    """

    work: str
    peer: list[Cost]
    ours: list[Cost]
    target: float | None = None
    unit: str = "s"

    def ratio(self, field: str = "wall") -> float:
        """Return how many times as much the peer took, by medians."""
        return median(self.peer, field) / median(self.ours, field)

    def pairs(self) -> list[float]:
        """Return the ratio of wall times of each repeat."""
        both = zip(self.peer, self.ours, strict=True)
        return sorted(peer.wall / ours.wall for peer, ours in both)

    def record(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            **asdict(self),
            "ratio": self.ratio(),
            "cpu_ratio": self.ratio("cpu"),
            "pairs": self.pairs(),
            "met": None if self.target is None else self.ratio() >= self.target,
        }


@dataclass(frozen=True)
class Finding:
    """What one benchmark found.

    Attributes:
        name: of the benchmark
        comparisons: rows of the table
        notes: sentences below the table, such as checks of equal output
        facts: numbers behind the notes, ready for JSON
    """

    name: str
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        rows = [comparison.record() for comparison in self.comparisons]
        return {"comparisons": rows, "notes": self.notes, "facts": self.facts}


def compare(
    costs: Costs,
    ours: str,
    works: dict[str, tuple[str, float | None]],
    *,
    unit: str = "s",
) -> list[Comparison]:
    """Set one side of interleaved costs against some of the others.

    Args:
        costs: of all sides
        ours: name of our side
        works: by name of the other side: what was done, and the target
        unit: of the table
    """
    return [
        Comparison(work, costs[name], costs[ours], target, unit)
        for name, (work, target) in works.items()
    ]


_COLUMNS = (
    "work",
    "other",
    "rehear",
    "ratio",
    "lowest–highest",
    "target",
    "CPU ratio",
    "peak MiB",
    "other load",
)


def markdown(findings: Sequence[Finding]) -> str:
    """Return one table of all comparisons, and the notes below it."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---" * len(_COLUMNS) + "|"]
    for finding in findings:
        lines += [_row(comparison) for comparison in finding.comparisons]
    lines.append("")
    for finding in findings:
        lines += [f"- {finding.name}: {note}" for note in finding.notes]
    return "\n".join(lines)


def _row(comparison: Comparison) -> str:
    peer, ours, pairs = comparison.peer, comparison.ours, comparison.pairs()
    target = ""
    if comparison.target is not None:
        met = "met" if comparison.ratio() >= comparison.target else "missed"
        target = f"≥ {comparison.target:g} {met}"
    peaks = ""
    if median(ours, "peak"):
        peaks = f"{median(peer, 'peak'):.0f} / {median(ours, 'peak'):.0f}"
    cells = (
        comparison.work,
        _time(median(peer), comparison.unit),
        _time(median(ours), comparison.unit),
        f"**{comparison.ratio():.1f}**"
        if comparison.ratio() >= 10
        else f"**{comparison.ratio():.2f}**",
        f"{pairs[0]:.2f}–{pairs[-1]:.2f} (n={len(pairs)})",
        target,
        f"{comparison.ratio('cpu'):.2f}",
        peaks,
        f"{median([*peer, *ours], 'others'):.1f}",
    )
    return "| " + " | ".join(cells) + " |"


def _time(seconds: float, unit: str) -> str:
    return f"{seconds * 1000:.0f} ms" if unit == "ms" else f"{seconds:.2f} s"
