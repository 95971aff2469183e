"""The card of a data set: what it is, who made it, and what was done to it."""

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rehear import columns, histograms, paths
from rehear.cautions import Caution
from rehear.errors import DataError
from rehear.fingerprint import Fingerprint
from rehear.leakage import Leak
from rehear.manifest import SPLITS, Clip, Manifest
from rehear.shortcuts import Shortcut
from rehear.survey import Fault

_LISTED = 100  # leaks, cautions, groups, labels of a group, values of an attribute
_SECONDS_PER_HOUR = 3600
_DIGITS = 6


@dataclass(frozen=True)
class Findings:
    """What checking a data set has shown.

    Attributes:
        skipped: clips that were left out
        leaks: what splits share though they should not
        cautions: what else makes scores uncertain
        shortcuts: what single numbers tell of labels
    """

    skipped: Sequence[Fault] = ()
    leaks: Sequence[Leak] = ()
    cautions: Sequence[Caution] = ()
    shortcuts: Sequence[Shortcut] = ()


def describe(
    manifest: Manifest,
    dataset: Any,
    *,
    task: str,
    fingerprint: Fingerprint,
    recorded_as: str = "",
    findings: Findings | None = None,
    allow_leak: str = "",
) -> dict[str, Any]:
    """Return the card as a JSON object.

    Args:
        manifest: complete, with durations and digests
        dataset: part with ``title``, ``licence``, ``citation`` and ``url``
        task: name of the task
        fingerprint: of the recordings
        recorded_as: its name in ``data/fingerprint.json``
        findings: of the checks
        allow_leak: reason why leaks are accepted; empty where there are none
    """
    found = findings or Findings()
    about = ("title", "licence", "citation", "url", "size")
    return {
        **{key: getattr(dataset, key, "") for key in about},
        "task": task,
        "clips": len(manifest),
        "hours": _hours(manifest),
        **_parts(manifest),
        "targets": _targets(manifest),
        "attributes": _attributes(manifest),
        "sample_rates": _counted(str(clip.sample_rate) for clip in manifest),
        "channels": _counted(str(clip.channels) for clip in manifest),
        "durations": _range([clip.duration for clip in manifest]),
        "levels": _range([c.level for c in manifest if c.level is not None]),
        "histograms": histograms.describe(manifest),
        "samples": {"mean": fingerprint.mean, "std": fingerprint.std},
        "shortcuts": [
            {**asdict(shortcut), "score": round(shortcut.score, _DIGITS)}
            for shortcut in found.shortcuts
        ],
        "fingerprint": fingerprint.sha256,
        "recorded_as": recorded_as,
        **_checked(found),
        "allow_leak": allow_leak if found.leaks else "",
    }


def read(study: Path) -> dict[str, Any]:
    """Return the card of a study's data set.

    Raises:
        DataError: if there is none yet, or it cannot be read
    """
    try:
        card = json.loads((study / paths.CARD).read_text(encoding="utf-8"))
        if not isinstance(card, dict):
            raise ValueError("no object")  # noqa: TRY004 - as json says it
    except FileNotFoundError:
        raise DataError(
            f"{paths.CARD} does not exist; run `rehear fetch` (or `dvc repro fetch`), "
            "which gets the recordings and describes them"
        ) from None
    except ValueError as error:
        raise DataError(
            f"{paths.CARD}: not valid JSON ({error}); run `rehear fetch` again"
        ) from None
    return card


def _parts(manifest: Manifest) -> dict[str, Any]:
    """Return counts of every split, fold and group, and of every label."""
    clips = manifest.clips
    label, group = columns.labels(clips), columns.column(c.group for c in clips)
    split, fold = (
        columns.column(getattr(clip, kind) for clip in clips)
        for kind in ("split", "fold")
    )
    seconds = np.fromiter((clip.duration for clip in clips), float, len(clips))
    counted = _Counted(label, group, seconds)
    of_split, of_fold = counted.by(split), counted.by(fold, most=_LISTED)
    empty = {"clips": 0, "hours": 0.0, "groups": 0, "labels": {}}
    sizes = np.bincount(fold.codes, minlength=len(fold.names)).tolist()
    folds = zip(fold.names, sizes, strict=True)
    return {
        "splits": {name: of_split.get(name, empty) for name in SPLITS},
        "folds": {name: size for name, size in folds if name},
        "by_fold": of_fold,
        "groups": len(group.names) - group.names.count(""),
        "by_group": counted.by(group, most=_LISTED),
        "labels": _labels(label, split),
    }


@dataclass(frozen=True)
class _Counted:
    """What is counted in every split, fold and group."""

    label: columns.Labels
    group: columns.Column
    seconds: np.ndarray

    def by(
        self, part: columns.Column, *, most: int | None = None
    ) -> dict[str, dict[str, Any]]:
        """Return clips, hours, groups and labels of the largest parts."""
        count = len(part.names)
        clips = np.bincount(part.codes, minlength=count)
        hours = np.bincount(part.codes, self.seconds, count) / _SECONDS_PER_HOUR
        pairs, of = columns.distinct(part.codes, self.group.codes)
        known = np.array([bool(name) for name in self.group.names], bool)
        groups = np.bincount(pairs[known[of]], minlength=count)
        order = [i for i in np.argsort(-clips, kind="stable") if part.names[i]][:most]
        labels = self._labels(part.codes, order)
        return {
            part.names[i]: {
                "clips": int(clips[i]),
                "hours": round(float(hours[i]), _DIGITS),
                "groups": int(groups[i]),
                "labels": found,
            }
            for i, found in sorted(zip(order, labels, strict=True))
        }

    def _labels(
        self, parts: np.ndarray, order: Sequence[int]
    ) -> Iterator[dict[str, int]]:
        """Yield how often each label occurs in some parts."""
        place = np.full(int(parts.max(initial=0)) + 1, -1)
        place[list(order)] = np.arange(len(order))
        where = place[parts[self.label.rows]]
        inside = where >= 0
        shape = (len(order), len(self.label.names))
        for row in columns.table(where[inside], self.label.codes[inside], shape):
            found = np.flatnonzero(row).tolist()
            yield _most(Counter({self.label.names[i]: int(row[i]) for i in found}))


def _most(counts: Counter[str]) -> dict[str, int]:
    """Return the most frequent, in alphabetical order."""
    order = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: counts[name] for name in sorted(order[:_LISTED])}


def _hours(clips: Iterable[Clip]) -> float:
    return round(sum(clip.duration for clip in clips) / _SECONDS_PER_HOUR, _DIGITS)


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _range(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {
        "min": round(min(values), _DIGITS),
        "median": round(statistics.median(values), _DIGITS),
        "max": round(max(values), _DIGITS),
    }


def _labels(label: columns.Labels, split: columns.Column) -> dict[str, dict[str, int]]:
    """Return, for each label, its clips in all and in each split."""
    shape = (len(label.names), len(split.names))
    counts = columns.table(label.codes, split.codes[label.rows], shape)
    place = {name: index for index, name in enumerate(split.names)}
    return {
        name: {"clips": int(row.sum())}
        | {part: int(row[place[part]]) if part in place else 0 for part in SPLITS}
        for name, row in zip(label.names, counts, strict=True)
    }


def _targets(manifest: Manifest) -> dict[str, dict[str, float]]:
    """Return the range and the mean of each regression target."""
    return {
        name: {"min": min(values), "mean": statistics.fmean(values), "max": max(values)}
        for index, name in enumerate(manifest.targets)
        if (values := [clip.targets[index] for clip in manifest])
    }


def _attributes(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Return how often each value of an attribute occurs."""
    found = {}
    for index, name in enumerate(manifest.attributes):
        counts = Counter(clip.attributes[index] for clip in manifest)
        unknown = counts.pop("", 0)
        found[name] = {
            "unknown": unknown,
            "values": len(counts),
            "counts": _most(counts),
        }
    return found


def _checked(found: Findings) -> dict[str, Any]:
    """Return what the checks have found; of very long lists the beginning."""
    return {
        "skipped_clips": len(found.skipped),
        "skipped": [asdict(fault) for fault in found.skipped[:_LISTED]],
        "leak_count": len(found.leaks),
        "leaks": [leak.text for leak in found.leaks[:_LISTED]],
        "caution_count": len(found.cautions),
        "cautions": [caution.text for caution in found.cautions[:_LISTED]],
    }
