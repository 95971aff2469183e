"""How clips are made of the events of a recording."""

import bisect
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rehear.catalogue import Catalogue
from rehear.datasets import choices, own
from rehear.datasets.events import Cut, Event, Piece
from rehear.errors import ParamsError
from rehear.manifest import LABEL_SEPARATOR

CUTS = Catalogue(
    "cut",
    {
        "clips": "rehear.datasets.cuts:Clips",
        "windows": "rehear.datasets.cuts:Windows",
    },
)
MIXED = ("stop", "skip")
_DIGITS = 6  # of times in seconds; finer than the samples of a recording
_REST = 1e-3  # s; what may be left at the end of a recording without a window
_SLACK = 1e-9  # rounding errors of times


def build(spec: object) -> Cut:
    """Return the cut that an argument ``cut`` of a data set stands for.

    Raises:
        ParamsError: if there is none of that name, or it refuses its arguments
    """
    if isinstance(spec, str) or (isinstance(spec, Mapping) and "name" in spec):
        return CUTS.build(spec)
    raise ParamsError(
        f"dataset.cut: expected {' or '.join(CUTS.names())}, or one of them with "
        f"arguments, as {{name: windows, seconds: 3}}; found {spec!r}"
    )


class Clips:
    """Each event is a clip.

    For classification it has the label of its event, whatever else is heard in
    it. For tagging it has the labels of all events of which enough lies in it.

    Args:
        margin: added before and after each event, in seconds, as far as the
            recording reaches
        seconds: length of all clips instead, around the middle of each event,
            moved where that would be outside of the recording; 0 for the length
            of the event
        share: of an event, or of the clip if that is shorter, that must lie in
            the clip for the event's label to be a tag of it
        ignore: labels of events that are left out; ``''`` for those without one
    """

    unannotated = False

    def __init__(
        self,
        *,
        margin: float = 0.0,
        seconds: float = 0.0,
        share: float = 0.5,
        ignore: Sequence[str] = (),
    ) -> None:
        _check("margin", margin, margin >= 0, "0 or more seconds")
        _check("seconds", seconds, seconds >= 0, "a length, or 0 for the events' own")
        _check("share", share, 0 <= share <= 1, "a number from 0 to 1")
        if margin and seconds:
            raise ParamsError(
                "dataset.cut: give margin or seconds, not both; with seconds, all "
                "clips have that length"
            )
        self.margin, self.seconds, self.share = margin, seconds, share
        self.ignore = frozenset(own.names(ignore))

    def pieces(
        self,
        events: Sequence[Event],
        duration: float,
        *,
        task: str,
        notes: Counter[str],
    ) -> Iterator[Piece]:
        """Return a piece for each event; see ``Cut``."""
        kept = [event for event in events if event.label not in self.ignore]
        notes["events are left out by dataset.cut.ignore"] += len(events) - len(kept)
        seen: dict[tuple[float, float], Event] = {}
        for event in kept:
            span = self._span(event, duration)
            earlier = seen.setdefault(span, event)
            if earlier is event:
                tags = self._tags(kept, span) if task == "tagging" else set()
                labels = sorted(tags | {event.label})
                yield Piece(*span, tuple(labels), event.attributes)
            elif earlier.label == event.label:
                notes["events stand in the tables twice, and are taken once"] += 1
            elif task == "classification":
                event.fail(
                    f"'{event.label}' would be the same clip as '{earlier.label}' in "
                    f"{earlier.place}, and a clip has one class; set task: tagging, or "
                    "remove one"
                )

    def _tags(self, events: Sequence[Event], span: tuple[float, float]) -> set[str]:
        # Events are sorted by their start, so only those around it are looked at.
        longest = max(event.end - event.start for event in events)
        first = bisect.bisect_left(events, span[0] - longest, key=_start)
        last = bisect.bisect_right(events, span[1], key=_start)
        return {e.label for e in events[first:last] if e.is_in(*span, self.share)}

    def _span(self, event: Event, duration: float) -> tuple[float, float]:
        if self.seconds:
            middle = (event.start + event.end) / 2
            start = min(middle - self.seconds / 2, duration - self.seconds)
            start = max(0.0, start)
            end = min(start + self.seconds, duration)
        else:
            start = max(0.0, event.start - self.margin)
            end = min(event.end + self.margin, duration)
        if end <= start:
            event.fail(
                f"'{event.label}' is a moment, at {event.start:g} s, and no stretch; "
                "set dataset.cut: {name: clips, seconds: …}"
            )
        return round(start, _DIGITS), round(end, _DIGITS)


class Windows:
    """Every annotated recording is divided into windows of one length.

    A window has the labels of the events of which enough lies in it: at least
    ``share`` of the event, or of the window if that is shorter. With 0.5, every
    event is in some window, if there are no gaps between them. The last window
    is moved back to end with the recording; a recording shorter than a window is
    one window.

    Source: the rule for labels is that of OpenSoundscape
    (``BoxedAnnotations.one_hot_clip_labels``,
    https://github.com/kitzeslab/opensoundscape), with ``min_label_fraction`` =
    share and ``min_label_overlap`` = share × seconds, of which one suffices.

    Args:
        seconds: length of a window
        hop: from the start of one window to that of the next, in seconds; 0 for
            the length of a window
        share: see above
        background: class of the windows without an event, for classification
        keep_empty: whether windows without an event are kept: as ``background``,
            or without tags
        unannotated: whether recordings without a table have been listened to,
            and hold nothing; otherwise they are left out
        mixed: ``stop`` or ``skip`` at windows with several labels, for
            classification
        ignore: labels of events that are not learnt, such as doubtful ones;
            windows with nothing else are left out; ``''`` for events without one
    """

    def __init__(
        self,
        *,
        seconds: float = 3.0,
        hop: float = 0.0,
        share: float = 0.5,
        background: str = "background",
        keep_empty: bool = True,
        unannotated: bool = False,
        mixed: str = "stop",
        ignore: Sequence[str] = (),
    ) -> None:
        _check("seconds", seconds, seconds > 0, "a length above 0")
        _check("hop", hop, hop >= 0, "a distance, or 0 for the length of a window")
        _check("share", share, 0 <= share <= 1, "a number from 0 to 1")
        if LABEL_SEPARATOR in background or not background:
            raise ParamsError(
                f"dataset.cut.background: '{background}' cannot name a class; set "
                "keep_empty: false to leave windows without an event out"
            )
        self.seconds, self.hop, self.share = seconds, hop or seconds, share
        self.background, self.keep_empty = background, keep_empty
        self.unannotated = unannotated
        self.mixed = choices.one("cut.mixed", mixed, MIXED)
        self.ignore = frozenset(own.names(ignore))

    def pieces(
        self,
        events: Sequence[Event],
        duration: float,
        *,
        task: str,
        notes: Counter[str],
    ) -> Iterator[Piece]:
        """Return the windows of a recording; see ``Cut``."""
        starts = self._starts(duration)
        ends = [min(start + self.seconds, duration) for start in starts]
        inside: list[list[Event]] = [[] for _ in starts]
        doubtful = set()
        for event in events:
            ignored = event.label in self.ignore
            share = 0.0 if ignored else self.share
            # Starts and ends are sorted, so only windows around it are looked at.
            first = bisect.bisect_left(ends, event.start)
            last = bisect.bisect_right(starts, event.end)
            held = [
                i for i in range(first, last) if event.is_in(starts[i], ends[i], share)
            ]
            if ignored:
                doubtful.update(held)
            elif not held:
                notes["events are in no window; see dataset.cut"] += 1
            for index in () if ignored else held:
                inside[index].append(event)
        for index, found in enumerate(inside):
            span = round(starts[index], _DIGITS), round(ends[index], _DIGITS)
            labels = tuple(sorted({event.label for event in found}))
            if not labels and (index in doubtful or not self.keep_empty):
                notes["windows without a label are left out"] += 1
            elif task == "tagging" or len(labels) == 1:
                yield Piece(*span, labels)
            elif not labels:
                yield Piece(*span, (self.background,))
            else:
                self._refuse(span, found)
                notes["windows with several labels are left out"] += 1

    def _starts(self, duration: float) -> list[float]:
        count = math.floor((duration - self.seconds) / self.hop + _SLACK) + 1
        starts = [index * self.hop for index in range(max(count, 1))]
        if duration - starts[-1] - self.seconds > _REST:
            starts.append(duration - self.seconds)
        return starts

    def _refuse(self, span: tuple[float, float], found: Sequence[Event]) -> None:
        if self.mixed == "skip":
            return
        one = found[0]
        other = next(event for event in found if event.label != one.label)
        other.fail(
            f"'{other.label}' and '{one.label}' of {one.place} are both in the window "
            f"from {span[0]:g} to {span[1]:g} s; set task: tagging, which allows "
            "several, shorten the windows, or leave such windows out with "
            "dataset.cut.mixed: skip"
        )


def _start(event: Event) -> float:
    return event.start


def _check(argument: str, value: float, valid: bool, expected: str) -> None:
    if not valid:
        raise ParamsError(f"dataset.cut.{argument}: {value:g}, expected {expected}")
