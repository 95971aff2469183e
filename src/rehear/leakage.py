"""Finding what a test split must not share with training."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rehear.manifest import SPLITS, Clip, Manifest

NO_FOLD = "no fold"
_NAMED = 5  # clips, groups or labels that a text names


@dataclass(frozen=True, slots=True)
class Leak:
    """One reason why scores on a split say too little about new recordings.

    Attributes:
        kind: ``equal``, ``group``, ``recording``, ``overlap``, ``duplicate``,
            ``copy`` or ``label``
        text: what is shared by which splits or folds, in one line
    """

    kind: str
    text: str


def find(manifest: Manifest, *, copies: Sequence[tuple[str, str]] = ()) -> list[Leak]:
    """Return everything that two splits, or two folds, share and must not.

    - ``equal``: all of dev is in test, or all of test in dev
    - ``group``: a speaker, recorder or site in two of them
    - ``recording``: parts of one file, where no groups are given
    - ``overlap``: overlapping parts of one file
    - ``duplicate``: clips with identical samples
    - ``copy``: the same recording in another format, or at another level
    - ``label``: a label that occurs in dev or test, or in one fold, and that
      training for it lacks

    Clips without a fold are part of the training for every fold, unless the
    data set holds them out as dev or test. Clips with the same recording but
    other labels in the *same* split are no leak.

    Args:
        manifest: with splits or folds; digests of samples are used where present
        copies: pairs of clips, by their ids, that are copies of one recording
    """
    leaks = list(_equal(manifest))
    for parts in (of_splits(manifest), of_folds(manifest)):
        if not any(parts):
            continue
        leaks += _shared_groups(manifest, parts)
        leaks += _shared_recordings(manifest, parts)
        leaks += _overlaps(manifest, parts)
        leaks += _duplicates(manifest, parts)
        leaks += _copies(manifest, parts, copies)
    leaks += _unseen_labels(manifest)
    leaks += _labels_of_one_fold(manifest)
    return _mixed(leaks)


def _mixed(leaks: Sequence[Leak]) -> list[Leak]:
    """Put the first of every kind first, so that a list cut short has them all."""
    seen: defaultdict[str, int] = defaultdict(int)
    ranks = []
    for leak in leaks:
        ranks.append(seen[leak.kind])
        seen[leak.kind] += 1
    order = sorted(range(len(leaks)), key=ranks.__getitem__)
    return [leaks[place] for place in order]


def of_splits(manifest: Manifest) -> list[str]:
    """Return the split of every clip."""
    return [clip.split for clip in manifest]


def of_folds(manifest: Manifest) -> list[str]:
    """Return the part that every clip has in cross-validation.

    Returns:
        ``fold <name>``; ``no fold`` for a clip that is in training for every
        fold; empty where it is not used, and where nothing has a fold
    """
    if not any(clip.fold for clip in manifest):
        return [""] * len(manifest)
    return [
        f"fold {clip.fold}"
        if clip.fold
        else (NO_FOLD if clip.split in ("", "train") else "")
        for clip in manifest
    ]


_Members = list[tuple[Clip, str]]


def _shared(
    manifest: Manifest, parts: Sequence[str], keys: Iterable[str]
) -> dict[str, _Members]:
    """Return the clips and their parts of each key that is in several parts.

    Clips without a part, and empty keys, do not count.
    """
    first: dict[str, str] = {}
    keys = list(keys)
    found: dict[str, _Members] = {
        key: []
        for key, part in zip(keys, parts, strict=True)
        if key and part and first.setdefault(key, part) != part
    }
    if found:
        for clip, key, part in zip(manifest, keys, parts, strict=True):
            if part and key in found:
                found[key].append((clip, part))
    return found


def _shared_groups(manifest: Manifest, parts: Sequence[str]) -> Iterator[Leak]:
    groups = _shared(manifest, parts, (clip.group for clip in manifest))
    for group, members in sorted(groups.items()):
        yield Leak("group", f"group '{group}' is in {_counted(members)}")


def _shared_recordings(manifest: Manifest, parts: Sequence[str]) -> Iterator[Leak]:
    # Where groups are given, they say what belongs together.
    files = ("" if clip.group else clip.file for clip in manifest)
    for file, members in sorted(_shared(manifest, parts, files).items()):
        text = f"recording '{file}' has clips in {_counted(members)}"
        yield Leak("recording", text)


def _overlaps(manifest: Manifest, parts: Sequence[str]) -> Iterator[Leak]:
    files = _shared(manifest, parts, (clip.file for clip in manifest))
    for file, members in sorted(files.items()):
        members.sort(key=lambda member: _start(member[0]))
        pairs = list(_overlapping(members))
        if pairs:
            (first, one), (second, other) = pairs[0]
            more = f", and {len(pairs) - 1} more clips," if len(pairs) > 1 else ""
            yield Leak(
                "overlap",
                f"clips '{first.clip}' ({one}) and '{second.clip}' ({other}){more} "
                f"overlap in recording '{file}'",
            )


def _overlapping(members: _Members) -> Iterator[tuple[tuple[Clip, str], ...]]:
    """Return every clip that begins within one of another part, after that one."""
    reaches: dict[str, tuple[Clip, str]] = {}  # farthest in each part
    for clip, part in members:
        for other, reach in reaches.items():
            if other != part and _start(clip) < _end(reach[0]):
                yield reach, (clip, part)
                break
        if part not in reaches or _end(clip) > _end(reaches[part][0]):
            reaches[part] = (clip, part)


def _duplicates(manifest: Manifest, parts: Sequence[str]) -> Iterator[Leak]:
    same = _shared(manifest, parts, (clip.sha256 for clip in manifest))
    for members in same.values():
        if is_silent(members[0][0]):
            continue  # which tells nothing of a label; a caution names it
        yield Leak("duplicate", f"clips {_named(members)} have identical samples")


def is_silent(clip: Clip) -> bool:
    """Say whether all samples of a recording are zero."""
    return clip.level is None and clip.sample_rate > 0


def _copies(
    manifest: Manifest, parts: Sequence[str], copies: Sequence[tuple[str, str]]
) -> Iterator[Leak]:
    if not copies:
        return
    # Of identical clips, one stands in the pairs for all.
    content = {clip.clip: clip.sha256 or clip.clip for clip in manifest}
    first = linked(
        (content[one], content[other])
        for one, other in copies
        if one in content and other in content
    )
    groups = _shared(manifest, parts, (first.get(c, "") for c in content.values()))
    for members in groups.values():
        if len({content[clip.clip] for clip, _ in members}) > 1:
            text = f"clips {_named(members)} are copies of one recording"
            yield Leak("copy", text)


def linked(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return one name for all that are linked, directly or through others."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for one, other in pairs:
        parent[root(one)] = root(other)
    return {name: root(name) for name in [*parent]}


def _equal(manifest: Manifest) -> Iterator[Leak]:
    dev, test = (
        {
            clip.sha256 or (clip.file, clip.start, clip.end)
            for clip in manifest
            if clip.split == split
        }
        for split in ("dev", "test")
    )
    if dev and test and (dev <= test or test <= dev):
        yield Leak(
            "equal",
            f"dev ({len(dev)} recordings) and test ({len(test)}) are the same "
            "recordings, so the model is chosen on the test split",
        )


def _unseen_labels(manifest: Manifest) -> Iterator[Leak]:
    trained, *others = (
        {label for clip in manifest if clip.split == split for label in clip.labels}
        for split in SPLITS
    )
    for split, own in zip(SPLITS[1:], others, strict=True):
        if own - trained:
            named = some(f"'{label}'" for label in sorted(own - trained))
            yield Leak("label", f"label {named} is in {split}, but not in train")


def _labels_of_one_fold(manifest: Manifest) -> Iterator[Leak]:
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for clip, part in zip(manifest, of_folds(manifest), strict=True):
        if part:
            for label in clip.labels:
                parts[label].add(part)
    alone: defaultdict[str, list[str]] = defaultdict(list)
    for label, where in sorted(parts.items()):
        if len(where) == 1 and where != {NO_FOLD}:
            alone[min(where)].append(f"'{label}'")
    for fold, labels in sorted(alone.items()):
        yield Leak("label", f"label {some(labels)} is in {fold}, but in no other")


def _counted(members: _Members) -> str:
    counts: defaultdict[str, int] = defaultdict(int)
    for _, part in members:
        counts[part] += 1
    order = sorted(counts, key=lambda name: ((*SPLITS, name).index(name), name))
    return " and ".join(f"{name} ({counts[name]} clips)" for name in order)


def _named(members: _Members) -> str:
    """Return the names of clips, one of every part first."""
    first = {part: clip for clip, part in reversed(members)}
    order = sorted(members, key=lambda member: first[member[1]] is not member[0])
    return some(f"'{clip.clip}' ({part})" for clip, part in order)


def some(names: Iterable[str]) -> str:
    """Return the first names, joined, and how many more there are."""
    listed = list(names)
    rest = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _start(clip: Clip) -> float:
    return clip.start or 0.0


def _end(clip: Clip) -> float:
    return float("inf") if clip.end is None else clip.end
