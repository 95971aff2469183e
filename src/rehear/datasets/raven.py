"""Own recordings with selection tables of Raven."""

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rehear.datasets import cuts, events, matching
from rehear.datasets.events import Event
from rehear.datasets.matching import Recordings
from rehear.datasets.own import TITLE, OwnRecordings, check_source
from rehear.datasets.rows import Row
from rehear.errors import DataError, suggest
from rehear.manifest import Manifest

NAMES = r"(?i)(.+?)(?:\.Table\.?\d+)?(?:\.(?:BirdNET\.)?selections?(?:\.table)?)?\.txt"
LABELS = ("Annotation", "Species")
BEGIN, END, OFFSET = "Begin Time (s)", "End Time (s)", "File Offset (s)"
ATTRIBUTES = {
    "low_freq": "Low Freq (Hz)",
    "high_freq": "High Freq (Hz)",
    "channel": "Channel",
}
# Columns in which Raven and BirdNET write no labels.
_MEASURED = re.compile(
    r"Selection|View|Channel|.*\(.*\)|(Begin|End) (File|Path|Date|Clock Time)"
)
logger = logging.getLogger(__name__)


class Raven(OwnRecordings):
    """Own recordings in ``fetch.source``, annotated in Raven.

    Selection tables (``a.Table.1.selections.txt``, ``a.selections.txt`` or
    ``a.txt`` for ``a.wav``) lie beside the recordings, or in folders of their
    own. A table with the columns Begin File or Begin Path may be about several
    recordings: its selections begin at File Offset (s) of that file, since Begin
    Time (s) counts from the beginning of the first file. Rows of one selection in
    several views are one event. Low Freq (Hz), High Freq (Hz) and Channel become
    the attributes ``low_freq``, ``high_freq`` and ``channel`` of clips.

    Splits: by folders ``train``, ``dev`` and ``test`` around the recordings;
    without such folders, drawn as ``fetch.split`` says, whole recordings always.

    Source: the tables of Raven Pro, Cornell Lab of Ornithology,
    https://www.ravensoundsoftware.com; those of BirdNET-Analyzer
    (https://github.com/birdnet-team/BirdNET-Analyzer) are like them.

    Args:
        label: column with the labels; Annotation or Species, if not given
        cut: how clips are made of selections: ``clips``, a clip for each, or
            ``windows``, all of every annotated recording; either with arguments,
            as ``{name: clips, margin: 0.5}`` or ``{name: windows, seconds: 3}``
        group: regular expression that finds the group (site, recorder, animal)
            in a recording's path, as ``'^([^/]+)/'`` for its first folder; its
            first parenthesis is the group. Without it, each recording is its own
            group
        tables: regular expression for the whole names of tables that are called
            otherwise; its first parenthesis is the name of the recording without
            ending, as in ``'(.+)_calls[.]txt'``
        title: of the data set, for reports
        citation: how to cite it
        licence: under which others may use it
        url: where it can be found
    """

    tasks = ("classification", "tagging")

    def __init__(
        self,
        *,
        label: str = "",
        cut: str | Mapping[str, object] = "clips",
        group: str = "",
        tables: str = "",
        title: str = TITLE,
        citation: str = "",
        licence: str = "",
        url: str = "",
    ) -> None:
        super().__init__(title=title, citation=citation, licence=licence, url=url)
        self.label = label
        self.cut = cuts.build(cut)
        self.group = matching.pattern("group", group)
        self.tables = matching.pattern("tables", tables or NAMES)

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Read the tables; the recordings stay where they are.

        Args:
            raw: not used
            task: ``classification`` or ``tagging``
            source: folder with the recordings and the tables
            downloads: not used

        Raises:
            DataError: at the first row or table that is not usable
        """
        check_source(source)
        recordings = Recordings(source)
        found: dict[str, list[Event]] = {}
        others = []
        for near, name in recordings.tables(self.tables):
            table = _read(source, near, name)
            if table is None:
                others.append(near)
                continue
            for file, heard in _events(table, recordings, self.label).items():
                found.setdefault(file, []).extend(heard)
        if others:
            logger.info(
                "fetch: %d files are no selection tables: %s",
                *(len(others), matching.some(others)),
            )
        if not found:
            raise DataError(
                f"{source}: no selection tables with the columns {BEGIN} and {END}; "
                "expected <recording>.Table.1.selections.txt or <recording>.txt, as "
                "Raven saves them, or names that dataset.tables matches"
            )
        return events.manifest(found, recordings, self.cut, task=task, group=self.group)


@dataclass(frozen=True, slots=True)
class _Table:
    """A selection table.

    Attributes:
        place: path, for messages
        near: path relative to the folder of the recordings
        name: of the recording that the table's own name says
        header: names of the columns
        rows: one for each selection and view
    """

    place: str
    near: str
    name: str
    header: list[str]
    rows: list[Row]


def _read(source: Path, near: str, name: str) -> _Table | None:
    """Read a table; nothing if the file is none."""
    path = source / near
    lines = matching.read(path)
    header = lines[0][1] if lines else []
    if BEGIN not in header or END not in header:
        return None
    twice = [column for column in header if column and header.count(column) > 1]
    if twice:
        raise DataError(f"{path} row 1: column '{twice[0]}' stands there twice")
    rows = []
    for place, cells in lines[1:]:
        if len(cells) > len(header):
            raise DataError(f"{place}: {len(cells)} cells, but {len(header)} columns")
        # Editors strip the tabs of empty cells at the end of a line.
        cells += [""] * (len(header) - len(cells))
        rows.append(Row(place, dict(zip(header, cells, strict=True))))
    return _Table(str(path), near, name, header, rows)


def _events(
    table: _Table, recordings: Recordings, label: str
) -> dict[str, list[Event]]:
    """Return the events of each recording that the table is about."""
    files = _files(table, recordings)
    if len(set(files)) > 1 and OFFSET not in table.header:
        raise DataError(
            f"{table.place}: about {len(set(files))} recordings, but no column "
            f"{OFFSET}, and {BEGIN} counts from the beginning of the first one; choose "
            "that measurement in Raven and save the table again"
        )
    column = _label_column(table, label) if table.rows else ""
    found: dict[str, list[Event]] = {file: [] for file in files}
    seen: dict[tuple[str, str, float], Event] = {}
    for row, file in zip(table.rows, files, strict=False):
        event = _event(row, row.text(column))
        key = (row.cells.get("Selection") or row.place, file, event.start)
        seen[key] = _merged(seen[key], event, row) if key in seen else event
    for (_, file, _), event in seen.items():
        found[file].append(event)
    return found


def _files(table: _Table, recordings: Recordings) -> list[str]:
    """Return the recording of each row; of a table without rows, its own if any."""
    known: dict[str, str] = {}

    def find(called: str) -> str:
        if called not in known:
            ending = bool(called)
            name = called or table.name
            known[called] = recordings.find(name, near=table.near, ending=ending)
        return known[called]

    files = []
    for row in table.rows:
        called = row.cells.get("Begin Path") or row.cells.get("Begin File") or ""
        if not find(called):
            row.fail(
                f"{recordings.lacks(called or table.name)} Put it there, or correct "
                f"the {'row' if called else 'name of the table'}"
            )
        files.append(find(called))
    return files or ([find("")] if find("") else [])


def _label_column(table: _Table, wanted: str) -> str:
    if wanted and wanted in table.header:
        return wanted
    others = [c for c in table.header if c and not _MEASURED.fullmatch(c)]
    usual = [column for column in others if column.title() in LABELS]
    if not wanted and len(usual) == 1:
        return usual[0]
    problem = (
        f"no column '{wanted}'.{suggest(wanted, table.header)}"
        if wanted
        else f"{'two columns' if usual else 'no column'} {' and '.join(LABELS)}."
    )
    raise DataError(
        f"{table.place}: {problem} Name the column with the labels, as dataset.label: "
        f"{others[0] if others else '…'}; columns: {', '.join(table.header)}"
    )


def _event(row: Row, label: str) -> Event:
    begin, end = matching.number(row, BEGIN), matching.number(row, END)
    start = matching.number(row, OFFSET) if OFFSET in row.cells else begin
    if start < 0 or end < begin:
        row.fail(
            f"from {begin:g} to {end:g} s is no stretch of a recording; expected "
            f"0 ≤ {BEGIN} ≤ {END}"
        )
    goes_on = any(
        row.cells.get(f"End {what}", "") not in ("", row.cells.get(f"Begin {what}", ""))
        for what in ("File", "Path")
    )
    return Event(
        place=row.place,
        start=start,
        end=math.inf if goes_on else start + (end - begin),
        label=label,
        attributes={
            name: row.cells[column]
            for name, column in ATTRIBUTES.items()
            if column in row.cells
        },
    )


def _merged(event: Event, other: Event, row: Row) -> Event:
    """Return the event of two rows that show it in two views or channels."""
    if (event.label, event.end) != (other.label, other.end):
        row.fail(
            f"selection {row.cells.get('Selection')} is '{other.label}' until "
            f"{other.end:g} s here, but '{event.label}' until {event.end:g} s in "
            f"{event.place}; correct one of them"
        )
    # A waveform has no frequencies of its own.
    best = other if row.cells.get("View", "").startswith("Spectrogram") else event
    given = [
        e.attributes["channel"] for e in (event, other) if "channel" in e.attributes
    ]
    channels = sorted({channel for text in given for channel in text.split("+")})
    named = {"channel": "+".join(channels)} if channels else {}
    return replace(best, attributes={**best.attributes, **named})
