"""The card of a data set for a terminal: ``rehear data``."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rehear.report import facts
from rehear.report.facts import Histogram, Table

WIDTH = 80
_ROWS = 24  # of a table
_LISTED = 10  # leaks, cautions and clips that were left out
_LABEL = 16  # columns of the names of facts
_LONGEST = 30  # columns of a name in a table
_BLOCKS = " ▏▎▍▌▋▊▉█"
_PLAIN = str.maketrans(
    {"–": "-", "−": "-", "…": "...", "×": "x", "±": "+-", "█": "#"}
    | dict.fromkeys("▏▎▍", "")
    | dict.fromkeys("▌▋▊▉", "#")
)


def render(card: Mapping[str, Any], *, encoding: str = "utf-8") -> str:
    """Return the card as lines of 80 columns at most, but for long names.

    Args:
        card: content of ``data/card.json``
        encoding: of the terminal; what it lacks is replaced by plain characters
    """
    lines = [line.rstrip() for line in _lines(card)]
    text = "\n".join(lines).rstrip() + "\n"
    if "utf" in encoding.lower():
        return text
    return text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    found = facts.facts(card)
    title = found.pop("Data set") or "Data set"
    yield from (title, "=" * min(len(title), WIDTH))
    for name, value in found.items():
        if value:
            yield from _wrapped(name, value)
    yield from _warnings(card)
    for number, heading in (("duration", "Length"), ("level", "Level")):
        histogram = facts.histogram(card, number)
        if histogram is not None:
            yield from ("", f"{heading}, {histogram.unit}")
            yield from _bars(histogram)
    for table in facts.tables(card, most=_ROWS):
        yield from ("", table.heading)
        yield from _table(table)
    attributes = facts.attributes(card)
    if attributes:
        yield from ("", "Attributes")
        for name, values in attributes.items():
            yield from _wrapped(
                f"  {name}", textwrap.shorten(values, 300, placeholder=" …")
            )
    yield from _listed("Left out", [s["reason"] for s in card.get("skipped") or []])
    if facts.is_old(card):
        yield from ("", *textwrap.wrap(facts.OLD, WIDTH))


def _warnings(card: Mapping[str, Any]) -> Iterator[str]:
    leaks = card.get("leaks") or []
    if leaks:
        count = card.get("leak_count") or len(leaks)
        yield from _listed("THE SPLIT LEAKS, so scores may be too good", leaks, count)
        yield from _wrapped("  Accepted as", str(card.get("allow_leak") or "–"))
    cautions = card.get("cautions") or []
    yield from _listed(
        "Before a score is believed",
        cautions,
        card.get("caution_count") or len(cautions),
    )


def _listed(heading: str, texts: Sequence[str], count: int = 0) -> Iterator[str]:
    if not texts:
        return
    yield from ("", heading)
    for text in texts[:_LISTED]:
        yield from textwrap.wrap(
            text, WIDTH, initial_indent="  - ", subsequent_indent="    "
        )
    left = max(count, len(texts)) - _LISTED
    if left > 0:
        yield f"    and {left:,} more"


def _wrapped(name: str, value: str) -> list[str]:
    head = name.ljust(_LABEL - 1) + " "
    return textwrap.wrap(
        head + value,
        WIDTH,
        subsequent_indent=" " * _LABEL,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def _bars(histogram: Histogram) -> Iterator[str]:
    """Yield a bar for each bin, and its clips in each split."""
    columns = histogram.counts if len(histogram.counts) > 1 else {}
    total, names = histogram.total, [*columns]
    first = max(len(name) for name in histogram.bins) + 2
    last = max(7, *(len(f"{n:,}") for n in total)) + 1
    room = WIDTH - 2 - first - last * (1 + len(names)) - 1
    head = ["clips", *names]
    yield " " * (2 + first + room + 1) + "".join(name.rjust(last) for name in head)
    for index, name in enumerate(histogram.bins):
        counts = [total[index], *(columns[part][index] for part in names)]
        cells = "".join((f"{n:,}" if n else "").rjust(last) for n in counts)
        bar = _bar(total[index] / max(total), room)
        yield f"  {name.rjust(first - 2)}  {bar.ljust(room)} {cells}"
    if histogram.more:
        yield f"  and {histogram.more}"


def _bar(share: float, room: int) -> str:
    """Return a bar in eighths of a character; something is never nothing."""
    eighths = max(round(share * room * 8), 1 if share > 0 else 0)
    part = _BLOCKS[eighths % 8] if eighths % 8 else ""
    return _BLOCKS[8] * (eighths // 8) + part


def _table(table: Table) -> Iterator[str]:
    rows = [[_cut(row[0]), *row[1:]] for row in [table.header, *table.rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(w) for cell, w in others)]
        yield "  " + "  ".join(cells)
    if table.more:
        yield f"  and {table.more}"


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
