"""Finding what a test split must not share with training."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rehear.manifest import SPLITS, Clip, Manifest

_NAMED = 5  # clips, groups or labels that a text names


@dataclass(frozen=True, slots=True)
class Leak:
    """One reason why scores on a split say too little about new recordings.

    Attributes:
        kind: ``group``, ``recording``, ``overlap``, ``duplicate``, ``copy``,
            ``equal`` or ``label``
        text: what is shared by which splits or folds, in one line
    """

    kind: str
    text: str


def find(manifest: Manifest, *, copies: Sequence[tuple[str, str]] = ()) -> list[Leak]:
    """Return everything that two splits, or two folds, share and must not.

    - ``group``: a speaker, recorder or site in two of them
    - ``recording``: parts of one file, where no groups are given
    - ``overlap``: overlapping parts of one file
    - ``duplicate``: clips with identical samples
    - ``copy``: the same recording in another format, or at another level
    - ``equal``: all of dev is in test, or all of test in dev
    - ``label``: a label that occurs in dev or test, but not in train

    Clips with the same recording but other labels in the *same* split are no
    leak.

    Args:
        manifest: with splits or folds; digests of samples are used where present
        copies: pairs of clips, by their ids, that are copies of one recording
    """
    leaks: list[Leak] = []
    for where, of in (("split", _split), ("fold", _fold)):
        clips = [clip for clip in manifest if of(clip)]
        leaks += _shared_groups(clips, where, of)
        leaks += _shared_recordings(clips, where, of)
        leaks += _overlaps(clips, of)
        leaks += _duplicates(clips, of)
        leaks += _copies(clips, of, copies)
    leaks += _equal(manifest)
    leaks += _unseen_labels(manifest)
    return leaks


def _split(clip: Clip) -> str:
    return clip.split


def _fold(clip: Clip) -> str:
    return clip.fold


_Part = Callable[[Clip], str]


def _shared_groups(clips: Iterable[Clip], where: str, of: _Part) -> Iterator[Leak]:
    grouped = _by(clips, lambda clip: clip.group)
    for group, members in sorted(grouped.items()):
        if len({of(clip) for clip in members}) > 1:
            yield Leak("group", f"group '{group}' is in {_parts(members, where, of)}")


def _shared_recordings(clips: Iterable[Clip], where: str, of: _Part) -> Iterator[Leak]:
    # Where groups are given, they say what belongs together.
    files = _by(clips, lambda clip: "" if clip.group else clip.file)
    for file, members in sorted(files.items()):
        if len({of(clip) for clip in members}) > 1:
            parts = _parts(members, where, of)
            yield Leak("recording", f"recording '{file}' has clips in {parts}")


def _overlaps(clips: Iterable[Clip], of: _Part) -> Iterator[Leak]:
    files = _by(clips, lambda clip: clip.file)
    for file, members in sorted(files.items()):
        if len({of(clip) for clip in members}) < 2:
            continue
        members.sort(key=_start)
        pairs = list(_overlapping(members, of))
        if pairs:
            first, second = pairs[0]
            more = f", {len(pairs)} pairs in all," if len(pairs) > 1 else ""
            yield Leak(
                "overlap",
                f"clips '{first.clip}' ({of(first)}) and '{second.clip}' "
                f"({of(second)}){more} overlap in recording '{file}'",
            )


def _overlapping(members: Sequence[Clip], of: _Part) -> Iterator[tuple[Clip, Clip]]:
    # Looking at the clip that reaches farthest is enough to find at least one
    # pair where there are any.
    reach = members[0]
    for clip in members[1:]:
        if _start(clip) < _end(reach) and of(clip) != of(reach):
            yield reach, clip
        if _end(clip) > _end(reach):
            reach = clip


def _duplicates(clips: Iterable[Clip], of: _Part) -> Iterator[Leak]:
    same = _by(clips, lambda clip: clip.sha256)
    for members in same.values():
        if len({of(clip) for clip in members}) > 1:
            named = _some(f"'{clip.clip}' ({of(clip)})" for clip in members)
            yield Leak("duplicate", f"clips {named} have identical samples")


def _copies(
    clips: Iterable[Clip], of: _Part, copies: Sequence[tuple[str, str]]
) -> Iterator[Leak]:
    part_of = {clip.clip: of(clip) for clip in clips} if copies else {}
    for one, other in copies:
        first, second = part_of.get(one), part_of.get(other)
        if first and second and first != second:
            yield Leak(
                "copy",
                f"clips '{one}' ({first}) and '{other}' ({second}) are copies of one "
                "recording",
            )


def _equal(manifest: Manifest) -> Iterator[Leak]:
    dev, test = (
        {clip.sha256 or (clip.file, clip.start, clip.end) for clip in clips}
        for clips in (
            [clip for clip in manifest if clip.split == "dev"],
            [clip for clip in manifest if clip.split == "test"],
        )
    )
    if dev and test and (dev <= test or test <= dev):
        yield Leak(
            "equal",
            f"dev ({len(dev)} recordings) and test ({len(test)}) are the same "
            "recordings, so the model is chosen on the test split",
        )


def _unseen_labels(manifest: Manifest) -> Iterator[Leak]:
    trained = {x for clip in manifest if clip.split == "train" for x in clip.labels}
    for split in SPLITS[1:]:
        own = {x for clip in manifest if clip.split == split for x in clip.labels}
        if own - trained:
            named = _some(f"'{label}'" for label in sorted(own - trained))
            yield Leak("label", f"label {named} is in {split}, but not in train")


def _by(clips: Iterable[Clip], key: Callable[[Clip], str]) -> dict[str, list[Clip]]:
    """Return the clips by key, those with an empty key left out."""
    found = defaultdict(list)
    for clip in clips:
        if name := key(clip):
            found[name].append(clip)
    return found


def _parts(clips: Iterable[Clip], where: str, of: _Part) -> str:
    counts: defaultdict[str, int] = defaultdict(int)
    for clip in clips:
        counts[of(clip)] += 1
    order = sorted(counts, key=lambda name: (*SPLITS, name).index(name))
    prefix = "" if where == "split" else "fold "
    return " and ".join(f"{prefix}{name} ({counts[name]} clips)" for name in order)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    rest = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _start(clip: Clip) -> float:
    return clip.start or 0.0


def _end(clip: Clip) -> float:
    return float("inf") if clip.end is None else clip.end
