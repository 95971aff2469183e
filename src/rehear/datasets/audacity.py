"""Own recordings with label tracks of Audacity."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rehear.datasets import cuts, events, matching
from rehear.datasets.events import Event
from rehear.datasets.matching import Recordings
from rehear.datasets.own import TITLE, OwnRecordings, check_source
from rehear.datasets.rows import Row
from rehear.errors import DataError
from rehear.manifest import Manifest

NAMES = r"(?i)(.+)\.txt"
COLUMNS = ("start", "end", "label")
RANGE = ("low_freq", "high_freq")  # in Hz; -1 where it has no bound
_RANGE_MARK = "\\"
logger = logging.getLogger(__name__)


class Audacity(OwnRecordings):
    """Own recordings in ``fetch.source``, annotated in Audacity.

    Label tracks, exported as ``a.txt`` for ``a.wav``, lie beside the recordings,
    or in folders of their own. Their lines are start, end and label, separated by
    tabs; a line after it that begins with a backslash has the range of
    frequencies, which becomes the attributes ``low_freq`` and ``high_freq`` of
    clips. An empty file says that nothing was heard.

    Splits: by folders ``train``, ``dev`` and ``test`` around the recordings;
    without such folders, drawn as ``fetch.split`` says, whole recordings always.

    Source: "Importing and Exporting Labels", Audacity Manual,
    https://manual.audacityteam.org/man/importing_and_exporting_labels.html.

    Args:
        cut: how clips are made of labels: ``clips``, a clip for each, or
            ``windows``, all of every annotated recording; either with arguments,
            as ``{name: clips, seconds: 3}`` or ``{name: windows, seconds: 3}``
        group: regular expression that finds the group (site, recorder, animal)
            in a recording's path, as ``'^([^/]+)/'`` for its first folder; its
            first parenthesis is the group. Without it, each recording is its own
            group
        tables: regular expression for the whole names of label tracks that are
            called otherwise; its first parenthesis is the name of the recording
            without ending, as in ``'(.+)_labels[.]txt'``
        title: of the data set, for reports
        citation: how to cite it
        licence: under which others may use it
        url: where it can be found
    """

    tasks = ("classification", "tagging")

    def __init__(
        self,
        *,
        cut: str | Mapping[str, object] = "clips",
        group: str = "",
        tables: str = "",
        title: str = TITLE,
        citation: str = "",
        licence: str = "",
        url: str = "",
    ) -> None:
        super().__init__(title=title, citation=citation, licence=licence, url=url)
        self.cut = cuts.build(cut)
        self.group = matching.pattern("group", group)
        self.tables = matching.pattern("tables", tables or NAMES)

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Read the label tracks; the recordings stay where they are.

        Args:
            raw: not used
            task: ``classification`` or ``tagging``
            source: folder with the recordings and the label tracks
            downloads: not used

        Raises:
            DataError: at the first line or file that is not usable
        """
        check_source(source)
        recordings = Recordings(source)
        found: dict[str, list[Event]] = {}
        others = []
        for near, name in recordings.tables(self.tables):
            lines = matching.read(source / near)
            file = recordings.find(name, near=near, ending=False)
            if file:
                found.setdefault(file, []).extend(_events(lines))
            elif lines and _is_label(lines[0][1]):
                raise DataError(
                    f"{source / near}: {recordings.lacks(name)} Put it there, or "
                    "rename the label track"
                )
            else:
                others.append(near)
        if others:
            logger.info(
                "fetch: %d files are no label tracks: %s",
                *(len(others), matching.some(others)),
            )
        if not found:
            raise DataError(
                f"{source}: no label tracks; expected <recording>.txt, as Audacity "
                "exports them, or names that dataset.tables matches"
            )
        return events.manifest(found, recordings, self.cut, task=task, group=self.group)


def _is_label(cells: Sequence[str]) -> bool:
    try:
        for cell in cells[:2]:
            float(cell.replace(",", "."))
    except ValueError:
        return False
    return len(cells) > 1


def _events(lines: Sequence[tuple[str, list[str]]]) -> list[Event]:
    """Return the events in the lines of a label track."""
    found: list[Event] = []
    for place, cells in lines:
        if cells[0] != _RANGE_MARK:
            found.append(_event(place, cells))
        elif found and not found[-1].attributes:
            found[-1] = replace(found[-1], attributes=_range(place, cells))
        else:
            raise DataError(f"{place}: a range of frequencies, but no label above it")
    return found


def _event(place: str, cells: Sequence[str]) -> Event:
    if not _is_label(cells):
        raise DataError(
            f"{place}: '{' '.join(cells)}' is no label; expected start, end and text, "
            "separated by tabs"
        )
    row = Row(place, dict(zip(COLUMNS, cells, strict=False)))
    start, end = matching.number(row, "start"), matching.number(row, "end")
    if start < 0 or end < start:
        row.fail(
            f"from {start:g} to {end:g} s is no stretch of a recording; expected "
            "0 ≤ start ≤ end"
        )
    return Event(place, start, end, row.cells.get("label", ""))


def _range(place: str, cells: Sequence[str]) -> dict[str, str]:
    if len(cells) != 1 + len(RANGE):
        raise DataError(f"{place}: expected a backslash and two frequencies in Hz")
    row = Row(place, dict(zip(RANGE, cells[1:], strict=True)))
    numbers = {name: matching.number(row, name) for name in RANGE}
    return {
        name: row.cells[name] if number >= 0 else "" for name, number in numbers.items()
    }
