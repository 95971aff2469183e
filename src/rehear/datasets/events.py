"""Events in long recordings, with start and end, and the manifest made of them."""

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, Protocol

from rehear import audio
from rehear.datasets.matching import Recordings, some
from rehear.datasets.table import SPLIT_WORDS
from rehear.errors import AudioError, DataError
from rehear.manifest import LABEL_SEPARATOR, Clip, Manifest

_OVERHANG = 3.0  # s; BirdNET rounds the end of a recording up to its window
_SLACK = 1e-9  # rounding errors of shares
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was heard.

    Attributes:
        place: table and row, for messages
        start: in seconds from the beginning of its recording
        end: in seconds; as ``start`` for a moment, infinite for "until the end"
        label: what it is
        attributes: what else is known, by name
    """

    place: str
    start: float
    end: float
    label: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    def fail(self, problem: str) -> NoReturn:
        """Raise a ``DataError`` that names the row."""
        raise DataError(f"{self.place}: {problem}")

    def is_in(self, start: float, end: float, share: float) -> bool:
        """Return whether enough of the event lies between two times.

        Args:
            start: in seconds
            end: in seconds; a moment at it is not in
            share: which must overlap, of the event or of the stretch, whichever
                is shorter
        """
        if self.start == self.end:
            return start <= self.start < end
        overlap = min(end, self.end) - max(start, self.start)
        shorter = min(self.end - self.start, end - start)
        return overlap > 0 and overlap >= share * shorter - _SLACK


@dataclass(frozen=True, slots=True)
class Piece:
    """What becomes a clip of one recording.

    Attributes:
        start: in seconds
        end: in seconds
        labels: of the clip
        attributes: by name
    """

    start: float
    end: float
    labels: tuple[str, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)


class Cut(Protocol):
    """How clips are made of the events of one recording.

    Attributes:
        ignore: labels of events that are not learnt
        unannotated: whether a recording without a table holds nothing, instead
            of nobody knows what
    """

    ignore: frozenset[str]
    unannotated: bool

    def pieces(
        self,
        events: Sequence[Event],
        duration: float,
        *,
        task: str,
        notes: Counter[str],
    ) -> Iterable[Piece]:
        """Return the pieces in their order.

        Args:
            events: sorted by time, inside of the recording
            duration: of the recording, in seconds
            task: ``classification`` or ``tagging``
            notes: counts what does not become a clip, for the log
        """
        ...


def manifest(
    events: Mapping[str, Sequence[Event]],
    recordings: Recordings,
    cut: Cut,
    *,
    task: str,
    group: re.Pattern[str],
) -> Manifest:
    """Return the clips of all annotated recordings.

    Recordings in folders ``train``, ``dev`` and ``test`` (validation, evaluation
    … as well) have these splits. A recording that cannot be read becomes one
    clip, so that reading the clips tells what is wrong with it.

    Args:
        events: of each annotated recording; none is an answer, too
        recordings: all of them
        cut: how clips are made
        task: ``classification`` or ``tagging``
        group: whose first parenthesis finds the group in the path of a recording

    Raises:
        DataError: if an event lies outside of its recording or has no usable
            label, as ``cut`` does, or if there are no clips
    """
    files = [file for file in recordings.files if cut.unannotated or file in events]
    by_split = all(_first_folder(file) in SPLIT_WORDS for file in files)
    notes: Counter[str] = Counter()
    found: list[tuple[Clip, Piece | None]] = []
    for file in files:
        whole = Clip(
            clip=file,
            file=file,
            split=SPLIT_WORDS[_first_folder(file)] if by_split else "",
            group=_group(file, group),
        )
        try:
            duration = audio.facts(recordings.source / file).duration
        except AudioError:
            found.append((whole, None))
            continue
        heard = _inside(events.get(file, ()), duration, cut.ignore, notes)
        pieces = cut.pieces(heard, duration, task=task, notes=notes)
        found += [(whole, piece) for piece in pieces]
    _report(recordings, files, notes)
    if not found:
        raise DataError(
            f"{recordings.source}: the tables leave no clips; they have no events, or "
            "dataset.cut leaves all of them out"
        )
    names = sorted({name for _, piece in found if piece for name in piece.attributes})
    return Manifest(tuple(_clip(*pair, names) for pair in found), attributes=(*names,))


def _first_folder(file: str) -> str:
    return file.partition("/")[0].lower()


def _group(file: str, group: re.Pattern[str]) -> str:
    if not group.groups:
        return ""
    found = group.search(file)
    if found is None or not found[1]:
        raise DataError(
            f"{file}: dataset.group '{group.pattern}' finds no group in this path; "
            "correct the expression or rename the file"
        )
    return found[1]


def _inside(
    events: Iterable[Event],
    duration: float,
    ignore: frozenset[str],
    notes: Counter[str],
) -> list[Event]:
    """Return the events in the order of time, none of which ends too late."""
    found = []
    for event in sorted(events, key=lambda e: (e.start, e.end, e.label, e.place)):
        if event.label not in ignore:
            _check(event, duration)
        if event.start >= duration:
            continue
        if event.end > duration:
            notes["events end with their recording, not after it"] += 1
            event = replace(event, end=duration)
        found.append(event)
    return found


def _check(event: Event, duration: float) -> None:
    if not event.label:
        event.fail(
            "empty label; give it one, or leave such rows out with dataset.cut: "
            "{name: …, ignore: ['']}"
        )
    if LABEL_SEPARATOR in event.label:
        event.fail(
            f"'{event.label}' holds a '{LABEL_SEPARATOR}', which separates labels in "
            "the manifest; write one row for each label"
        )
    late = event.end > duration + _OVERHANG and event.end != math.inf
    if event.start >= duration or late:
        event.fail(
            f"'{event.label}' is from {event.start:g} to {event.end:g} s, but its "
            f"recording has {duration:.3f} s; correct the row, or the names of table "
            "and recording"
        )


def _clip(whole: Clip, piece: Piece | None, names: Sequence[str]) -> Clip:
    if piece is None:
        return replace(whole, attributes=("",) * len(names))
    return replace(
        whole,
        clip=f"{whole.file}[{piece.start}-{piece.end}]",
        start=piece.start,
        end=piece.end,
        labels=piece.labels,
        attributes=tuple(piece.attributes.get(name, "") for name in names),
    )


def _report(recordings: Recordings, files: Sequence[str], notes: Counter[str]) -> None:
    others = sorted(set(recordings.files) - set(files))
    if others:
        logger.info(
            "fetch: %d of %d recordings have no table and are left out: %s",
            *(len(others), len(recordings.files), some(others)),
        )
    for note, count in sorted((+notes).items()):
        logger.info("fetch: %d %s", count, note)
