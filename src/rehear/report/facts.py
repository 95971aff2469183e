"""What the card of a data set says, in words; for pages and for the terminal.

Cards of older versions lack some keys; what is not there is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rehear import histograms
from rehear.manifest import SPLITS

Card = Mapping[str, Any]
OLD = (
    "This card was made by an older version, so parts are missing; run `rehear fetch` "
    "again for all of it."
)
SHORTCUTS = "What one number alone tells"
_HINT = "A model that hears nothing could score this, on groups that it has not met."
_MOST_BINS = 16
_WORDS = {"uar": "UAR", "spearman": "Spearman's rank correlation"}


def facts(card: Card) -> dict[str, str]:
    """Return names and values of what can be said in a line; some are empty."""
    samples = card.get("samples") or {}
    spread = ""
    if samples.get("std") is not None:
        spread = f"mean {samples['mean']:.3g}, standard deviation {samples['std']:.3g}"
    return {
        "Data set": str(card.get("title") or ""),
        "Licence": str(card.get("licence") or ""),
        "Citation": str(card.get("citation") or ""),
        "Source": str(card.get("url") or ""),
        "As published": str(card.get("size") or ""),
        "Task": str(card.get("task") or ""),
        "Clips": f"{card.get('clips', 0):,}, {length(card.get('hours', 0))}",
        "Length": _range(card.get("durations") or {}, "s", digits=2),
        "Level": _range(card.get("levels") or {}, "dB", digits=1),
        "Sample rates": _numbers(card.get("sample_rates") or {}, " Hz"),
        "Channels": _numbers(card.get("channels") or {}, ""),
        "Samples": spread,
        "Left out": _skipped(card),
        "Fingerprint": str(card.get("fingerprint") or ""),
    }


def length(hours: float) -> str:
    """Return a length in the unit that suits it."""
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{60 * hours:.1f} min" if hours >= 1 / 60 else f"{3600 * hours:.1f} s"


def is_old(card: Card) -> bool:
    """Say whether a card was made before histograms, cautions and the rest."""
    return "histograms" not in card


def _range(values: Mapping[str, float], unit: str, *, digits: int) -> str:
    if not values or values["max"] == values["min"] == 0:
        return ""
    low, middle, high = (
        f"{values[key]:,.{digits}f}".replace("-", "−")
        for key in ("min", "median", "max")
    )
    if low == high:
        return f"{low} {unit}"
    return f"{low} to {high} {unit}, median {middle} {unit}"


def _numbers(counts: Mapping[str, int], unit: str) -> str:
    """Return values and how many clips have them; none is 0, of what is no sound."""
    known = sorted((int(value), n) for value, n in counts.items() if value != "0")
    if len(known) == 1:
        return f"{known[0][0]:,}{unit}"
    return ", ".join(f"{value:,}{unit} ({n:,} clips)" for value, n in known)


def _skipped(card: Card) -> str:
    unusable = card.get("skipped_clips") or 0
    featureless = card.get("without_features") or 0
    parts = [
        f"{unusable:,} clips that could not be used" if unusable else "",
        f"{featureless:,} clips that gave no features" if featureless else "",
    ]
    return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        heading: what it shows
        header: names of the columns, the first of them to the left
        rows: cells
        more: what is not listed, in words
        hint: how to read it
    """

    heading: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    more: str = ""
    hint: str = ""


def tables(card: Card, *, most: int) -> list[Table]:
    """Return splits, folds, labels, targets, groups and shortcuts.

    Args:
        card: of the data set
        most: rows of a table; what is beyond is counted
    """
    found = [
        _parts("Splits", "Split", card.get("splits") or {}, most),
        _folds(card, most),
        _labels(card, most),
        _targets(card),
        _parts("Groups", "Group", card.get("by_group") or {}, most, card.get("groups")),
        _shortcuts(card),
    ]
    return [table for table in found if table.rows]


def _parts(
    heading: str,
    name: str,
    parts: Mapping[str, Any],
    most: int,
    total: int | None = None,
) -> Table:
    filled = {key: part for key, part in parts.items() if part["clips"]}
    order = list(filled)
    if len(order) > most:
        order = sorted(order, key=lambda key: (-filled[key]["clips"], key))[:most]
    grouped = name != "Group" and any(part.get("groups") for part in filled.values())
    labelled = any(part.get("labels") for part in filled.values())
    rows = [
        [
            key,
            f"{part['clips']:,}",
            length(part["hours"]),
            *([f"{part['groups']:,}"] if grouped else []),
            *([f"{len(part['labels']):,}"] if labelled else []),
        ]
        for key, part in ((key, filled[key]) for key in order)
    ]
    header = [name, "Clips", "Length"]
    header += ["Groups"] * grouped + ["Labels"] * labelled
    left = (total or len(filled)) - len(rows)
    return Table(heading, header, rows, f"{left:,} smaller ones" if left > 0 else "")


def _folds(card: Card, most: int) -> Table:
    folds = card.get("folds") or {}
    if "by_fold" in card:
        return _parts("Folds", "Fold", card["by_fold"], most, len(folds))
    rows = [[name, f"{n:,}"] for name, n in folds.items()]
    return Table("Folds", ["Fold", "Clips"], rows)


def _labels(card: Card, most: int) -> Table:
    labels = card.get("labels") or {}
    parts = [p for p in SPLITS if any(row.get(p) for row in labels.values())]
    order = list(labels)
    if len(order) > most:
        order = sorted(order, key=lambda name: (-labels[name]["clips"], name))[:most]
    rows = [
        [name, f"{labels[name]['clips']:,}", *(f"{labels[name][p]:,}" for p in parts)]
        for name in order
    ]
    left = len(labels) - len(rows)
    header = ["Label", "Clips", *(part.capitalize() for part in parts)]
    return Table("Labels", header, rows, f"{left:,} rarer ones" if left else "")


def _targets(card: Card) -> Table:
    rows = [
        [name, *(f"{t[key]:.3g}".replace("-", "−") for key in ("min", "mean", "max"))]
        for name, t in (card.get("targets") or {}).items()
    ]
    return Table("Targets", ["Target", "Lowest", "Mean", "Highest"], rows)


def _shortcuts(card: Card) -> Table:
    rows = [
        [
            _told(s),
            _WORDS[s["measure"]],
            f"{s['score']:.2f}".replace("-", "−"),
            f"{s['chance']:.2f}",
        ]
        for s in card.get("shortcuts") or []
    ]
    header = ["Number", "Measure", "Score", "Chance"]
    return Table(SHORTCUTS, header, rows, hint=_HINT)


def _told(shortcut: Mapping[str, Any]) -> str:
    number, tells = shortcut["number"], shortcut["tells"]
    if not tells:
        return f"{number}: all classes"
    return f"{number}: {tells}" + (" or not" if shortcut["measure"] == "uar" else "")


def attributes(card: Card) -> dict[str, str]:
    """Return every attribute with its values, the most frequent first."""
    found = {}
    for name, entry in (card.get("attributes") or {}).items():
        counts = sorted(entry["counts"].items(), key=lambda pair: (-pair[1], pair[0]))
        words = [f"{value} ({n:,})" for value, n in counts]
        if entry["values"] > len(counts):
            words.append(f"and {entry['values'] - len(counts):,} more")
        if entry["unknown"]:
            words.append(f"unknown ({entry['unknown']:,})")
        found[name] = ", ".join(words)
    return found


@dataclass(frozen=True)
class Histogram:
    """A histogram with few enough bins to be looked at.

    Attributes:
        number: ``duration`` or ``level``
        unit: of its values
        bins: names of the bins
        counts: clips in each bin, for each split
        more: what is in no bin, in words
    """

    number: str
    unit: str
    bins: Sequence[str]
    counts: Mapping[str, Sequence[int]]
    more: str

    @property
    def total(self) -> list[int]:
        """Clips in each bin."""
        return histograms.summed(self.counts)


def histogram(card: Card, number: str) -> Histogram | None:
    """Return the histogram of durations or levels, if the card has it."""
    entry = (card.get("histograms") or {}).get(number)
    return shown(number, entry) if entry else None


def shown(number: str, entry: Mapping[str, Any]) -> Histogram:
    """Return a histogram with neighbouring bins joined, where there are many.

    Args:
        number: what it is of
        entry: as ``histograms`` gives it
    """
    edges, wide = entry["edges"], -(-(len(entry["edges"]) - 1) // _MOST_BINS)
    starts = range(0, len(edges) - 1, wide)
    bounds = [edges[i] for i in starts] + [edges[-1]]
    names = [f"{low:g} to {high:g}".replace("-", "−") for low, high in pairwise(bounds)]
    counts = {
        part: [sum(values[i : i + wide]) for i in starts]
        for part, values in entry["counts"].items()
    }
    silent = entry.get("silent") or 0
    more = f"{silent:,} silent clips" if silent else ""
    return Histogram(number, entry["unit"], names, counts, more)
