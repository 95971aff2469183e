"""The card of a data set: what it is, who made it, and what was done to it."""

import hashlib
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rehear.leakage import Leak
from rehear.manifest import SPLITS, Clip, Manifest
from rehear.survey import Fault

_LISTED = 100  # leaks and skipped clips on the card
_SECONDS_PER_HOUR = 3600
_DIGITS = 6


def describe(
    manifest: Manifest,
    dataset: Any,
    *,
    task: str,
    skipped: Sequence[Fault] = (),
    leaks: Sequence[Leak] = (),
    allow_leak: str = "",
) -> dict[str, Any]:
    """Return the card as a JSON object.

    Args:
        manifest: complete, with durations and digests
        dataset: part with ``title``, ``licence``, ``citation`` and ``url``
        task: name of the task
        skipped: clips that were left out
        leaks: what splits share though they should not
        allow_leak: reason why that is accepted; empty where there are none
    """
    durations = [clip.duration for clip in manifest]
    return {
        "title": dataset.title,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "url": dataset.url,
        "task": task,
        "clips": len(manifest),
        "hours": _hours(manifest),
        "splits": {
            split: _part([clip for clip in manifest if clip.split == split])
            for split in SPLITS
        },
        "folds": _counted(clip.fold for clip in manifest if clip.fold),
        "labels": _labels(manifest),
        "targets": _targets(manifest),
        "sample_rates": _counted(str(clip.sample_rate) for clip in manifest),
        "durations": {
            "min": round(min(durations), _DIGITS),
            "median": round(statistics.median(durations), _DIGITS),
            "max": round(max(durations), _DIGITS),
        },
        "fingerprint": fingerprint(manifest),
        "skipped_clips": len(skipped),
        "skipped": [
            {"clip": fault.clip, "file": fault.file, "reason": fault.reason}
            for fault in skipped[:_LISTED]
        ],
        "leak_count": len(leaks),
        "leaks": [leak.text for leak in leaks[:_LISTED]],
        "allow_leak": allow_leak if leaks else "",
    }


def fingerprint(manifest: Manifest) -> str:
    """Return the SHA-256 of all lines ``<clip> <sha256>``, sorted by clip."""
    lines = sorted(f"{clip.clip} {clip.sha256}\n" for clip in manifest)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _part(clips: Sequence[Clip]) -> dict[str, Any]:
    return {
        "clips": len(clips),
        "hours": _hours(clips),
        "groups": len({clip.group for clip in clips if clip.group}),
    }


def _hours(clips: Iterable[Clip]) -> float:
    return round(sum(clip.duration for clip in clips) / _SECONDS_PER_HOUR, _DIGITS)


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _labels(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Return, for each label, its clips in all and in each split."""
    counts: dict[str, dict[str, int]] = {}
    for clip in manifest:
        for label in clip.labels:
            of = counts.setdefault(label, {"clips": 0, **dict.fromkeys(SPLITS, 0)})
            of["clips"] += 1
            if clip.split:
                of[clip.split] += 1
    return dict(sorted(counts.items()))


def _targets(manifest: Manifest) -> dict[str, dict[str, float]]:
    """Return the range and the mean of each regression target."""
    return {
        name: {"min": min(values), "mean": statistics.fmean(values), "max": max(values)}
        for index, name in enumerate(manifest.targets)
        if (values := [clip.targets[index] for clip in manifest])
    }
