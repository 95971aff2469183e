"""The data set on one page, to see and to hear: ``rehear data --html``.

One HTML file that loads nothing from anywhere, as the report of a study.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rehear import histograms, inputs, listening
from rehear.errors import AudioError
from rehear.histograms import WHOLE
from rehear.manifest import SPLITS, Clip, Manifest
from rehear.randomness import generator
from rehear.report import charts, facts
from rehear.report.facts import Histogram, Table
from rehear.report.markup import (
    card,
    details,
    document,
    grid,
    pairs,
    section,
    stack,
    table,
    text,
    warning,
)
from rehear.report.picture import player

SECONDS = 5.0  # of a clip that a page plays
_PLAYERS = 24  # about as many in all
_MOST_EACH = 3
_MOST_LABELS = 40  # with a bar and a player
_MOST_ROWS = 15  # that are not folded away
_MOST_WARNINGS = 10
_ABOUT_LABELS = ("Labels", "Targets")
logger = logging.getLogger(__name__)


def render(described: Mapping[str, Any], manifest: Manifest, study: Path) -> str:
    """Return the page as an HTML document.

    Args:
        described: content of ``data/card.json``
        manifest: of the study
        study: folder that the manifest's files are relative to
    """
    sections = [
        ("about", "The data set", _about(described)),
        ("labels", _heading(described), _labels(described, manifest)),
        ("numbers", "Length and level", _numbers(described)),
        ("attributes", "Attributes", _attributes(described)),
        ("skipped", "Left out", _skipped(described)),
        ("listen", "Listen", _listen(manifest, study)),
    ]
    shown = [entry for entry in sections if entry[2]]
    body = "".join(section(name, heading, part) for name, heading, part in shown)
    return document(
        str(described.get("title") or "Data set"),
        _subtitle(described),
        _warnings(described) + body,
        links={name: heading for name, heading, _ in shown},
    )


def _subtitle(described: Mapping[str, Any]) -> str:
    parts = [str(described.get("task") or ""), f"{described.get('clips', 0):,} clips"]
    parts.append(facts.length(described.get("hours", 0)))
    if described.get("labels") and not described.get("targets"):
        parts.append(f"{len(described['labels']):,} labels")
    if described.get("groups"):
        parts.append(f"{described['groups']:,} groups")
    return ", ".join(part for part in parts if part)


def _warnings(described: Mapping[str, Any]) -> str:
    leaks, cautions = described.get("leaks") or [], described.get("cautions") or []
    found = ""
    if leaks:
        found += warning(
            "The split leaks: scores may be too good.",
            leaks,
            most=_MOST_WARNINGS,
            count=described.get("leak_count") or 0,
            note="Reason for using it all the same: "
            f"{described.get('allow_leak') or 'none given'}",
        )
    if cautions:
        found += warning(
            "Before a score is believed:",
            cautions,
            most=_MOST_WARNINGS,
            count=described.get("caution_count") or 0,
        )
    return found + (warning(facts.OLD, (), most=0) if facts.is_old(described) else "")


def _about(described: Mapping[str, Any]) -> str:
    tables = facts.tables(described, most=_MOST_LABELS)
    found = {
        shown.heading: card(_table(shown), heading=shown.heading, hint=shown.hint)
        for shown in tables
        if shown.heading not in _ABOUT_LABELS
    }
    about = card(pairs(facts.facts(described)), heading="What it is")
    left = [about, found.pop(facts.SHORTCUTS, "")]
    return grid([stack(part for part in left if part), stack(found.values())])


def _table(shown: Table) -> str:
    body = table(shown.header, shown.rows[:_MOST_ROWS])
    rest = shown.rows[_MOST_ROWS:]
    if rest:
        body += details(f"{len(rest)} more rows", table(shown.header, rest))
    return body + (f'<p class="hint">And {text(shown.more)}.</p>' if shown.more else "")


def _heading(described: Mapping[str, Any]) -> str:
    return "Targets" if described.get("targets") else "Labels"


def _labels(described: Mapping[str, Any], manifest: Manifest) -> str:
    shown = [
        card(_table(entry), heading=entry.heading)
        for entry in facts.tables(described, most=_MOST_LABELS)
        if entry.heading in _ABOUT_LABELS
    ]
    if manifest.targets:
        figures = [_target(manifest, index) for index in range(len(manifest.targets))]
        return grid([*figures, *shown])
    labels = described.get("labels") or {}
    order = sorted(labels, key=lambda name: (-labels[name]["clips"], name))
    order = sorted(order[:_MOST_LABELS])
    if not order:
        return ""
    parts = [p for p in SPLITS if any(labels[name].get(p) for name in order)]
    counts = {p: [labels[name][p] for name in order] for p in parts}
    whole = {WHOLE: [labels[name]["clips"] for name in order]}
    figure = charts.svg(
        charts.stacked(order, counts or whole, title="clips"),
        name="labels",
        description="Number of clips of every label in each split",
    )
    return grid([card(figure, heading="Clips of every label"), *shown])


def _target(manifest: Manifest, index: int) -> str:
    """Return the histogram of a regression target."""
    name = manifest.targets[index]
    values = np.array([clip.targets[index] for clip in manifest])
    entry = histograms.even(values, [clip.split for clip in manifest])
    shown = facts.shown(name, {"unit": "", **entry})
    return _histogram(shown, heading=name, number=f"target{index}")


def _numbers(described: Mapping[str, Any]) -> str:
    cards = []
    for number, heading in (("duration", "Length"), ("level", "Level")):
        found = facts.histogram(described, number)
        if found is not None:
            cards.append(_histogram(found, heading=heading, number=number))
    return grid(cards) if cards else ""


def _histogram(found: Histogram, *, heading: str, number: str) -> str:
    figure = charts.svg(
        charts.stacked(found.bins, found.counts, title="clips"),
        name=number,
        description=f"Number of clips over {heading}",
    )
    hint = f"And {found.more}." if found.more else ""
    unit = f", {found.unit}" if found.unit else ""
    return card(figure, heading=heading + unit, hint=hint)


def _attributes(described: Mapping[str, Any]) -> str:
    found = facts.attributes(described)
    return card(pairs(found)) if found else ""


def _skipped(described: Mapping[str, Any]) -> str:
    rows = [
        [entry["clip"], entry["reason"]] for entry in described.get("skipped") or []
    ]
    if not rows:
        return ""
    left = (described.get("skipped_clips") or 0) - len(rows)
    more = f"{left:,} other clips" if left > 0 else ""
    body = table(["Clip", "Why"], rows[:_MOST_ROWS], numbers_from=9)
    if rows[_MOST_ROWS:]:
        rest = table(["Clip", "Why"], rows[_MOST_ROWS:], numbers_from=9)
        body += details(f"{len(rows) - _MOST_ROWS} more", rest)
    return card(body, hint=f"And {more}." if more else "")


def _listen(manifest: Manifest, study: Path) -> str:
    """Return players of some clips of every label, or over a target's range."""
    entries = "".join(
        _example(clip, told, study) for clip, told in choice(manifest) if told
    )
    if not entries:
        return ""
    hint = f"Drawn from all splits; the first {SECONDS:g} s of longer clips."
    return f'<p class="hint">{hint}</p><div class="examples">{entries}</div>'


def choice(manifest: Manifest) -> Iterator[tuple[Clip, str]]:
    """Yield clips to listen to, and what to say of each.

    Of every label, up to three, from different groups if there are; of a target,
    clips from the lowest to the highest value. The draw is the same every time.

    Args:
        manifest: of the study
    """
    sounds = [clip for clip in manifest if inputs.is_sound(clip.file)]
    if manifest.targets and sounds:
        for index, name in enumerate(manifest.targets):
            ranked = sorted(sounds, key=lambda clip: (clip.targets[index], clip.clip))
            count = max(3, _PLAYERS // (2 * len(manifest.targets)))
            places = np.unique(np.linspace(0, len(ranked) - 1, count).round())
            for place in places.astype(int).tolist():
                clip = ranked[place]
                yield clip, f"{name} {clip.targets[index]:.3g}".replace("-", "−")
        return
    of_label: dict[str, list[Clip]] = {}
    for clip in sounds:
        for label in clip.labels:
            of_label.setdefault(label, []).append(clip)
    order = sorted(of_label, key=lambda label: (-len(of_label[label]), label))
    each = int(np.clip(_PLAYERS // max(len(order), 1), 1, _MOST_EACH))
    taken: set[str] = set()
    for label in sorted(order[:_MOST_LABELS]):
        for clip in _drawn(label, of_label[label], each):
            if clip.clip not in taken:
                taken.add(clip.clip)
                yield clip, ", ".join(clip.labels)


def _drawn(label: str, clips: Sequence[Clip], count: int) -> list[Clip]:
    """Draw clips, those of new groups first."""
    order = generator(0, "listen", label).permutation(len(clips)).tolist()
    groups: set[str] = set()
    first: list[Clip] = []
    others: list[Clip] = []
    for place in order:
        clip = clips[place]
        (others if clip.group in groups else first).append(clip)
        groups.add(clip.group)
    return [*first, *others][:count]


def _example(clip: Clip, told: str, study: Path) -> str:
    entry: dict[str, Any] = {"clip": clip.clip}
    try:
        entry |= listening.player(clip, study, longest=SECONDS)
    except AudioError as error:
        logger.warning("no sound for '%s': %s", clip.clip, error)
    where = [
        clip.clip,
        clip.group,
        clip.split,
        f"{clip.duration:.2f}\N{NO-BREAK SPACE}s",
    ]
    return (
        f'<div class="card example">{player(entry)}<div class="text">'
        f'<div class="verdict">{text(told)}</div>'
        f'<p class="hint">{text(" · ".join(filter(None, where)))}</p></div></div>'
    )
