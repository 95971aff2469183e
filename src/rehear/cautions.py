"""What is no leak, but should be known before a score is believed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rehear import columns, leakage, shortcuts
from rehear.manifest import SPLITS, Manifest
from rehear.shortcuts import Shortcut

_FEW = 5  # clips of a label in training


@dataclass(frozen=True, slots=True)
class Caution:
    """One reason to look twice.

    Attributes:
        kind: ``missing``, ``few``, ``group``, ``silence`` or ``shortcut``
        text: in one line
    """

    kind: str
    text: str


def find(manifest: Manifest, *, told: Sequence[Shortcut] = ()) -> list[Caution]:
    """Return what makes scores on a data set uncertain, without being a leak.

    - ``missing``: a label that is trained, but not in dev, test or some fold, so
      that nothing is known about it there
    - ``few``: a label with fewer than five clips to learn from
    - ``group``: a label that is learnt from one group (speaker, recorder, site)
    - ``silence``: clips whose samples are all zero
    - ``shortcut``: a number such as the duration that tells the label

    Args:
        manifest: with splits or folds
        told: what single numbers tell
    """
    found = [*_of_splits(manifest), *_of_folds(manifest), *_silent(manifest)]
    strong = (Caution("shortcut", shortcuts.text(s)) for s in told if s.strong)
    return [*found, *strong]


@dataclass(frozen=True)
class _Table:
    """In which parts, and in how many groups there, each label occurs.

    Attributes:
        labels: names of the rows
        parts: names of the columns
        clips: ``(labels, parts)``
        groups: ``(labels, parts)``; 0 where some group is not known
        only: ``(labels, parts)``, groups that a label has in no other part
        total: ``(labels,)``, all groups; 0 where some group is not known
    """

    labels: Sequence[str]
    parts: Sequence[str]
    clips: np.ndarray
    groups: np.ndarray
    only: np.ndarray
    total: np.ndarray

    @classmethod
    def of(cls, manifest: Manifest, parts: Sequence[str]) -> "_Table":
        used = [i for i, part in enumerate(parts) if part]
        clips = [manifest.clips[i] for i in used]
        part = columns.column(parts[i] for i in used)
        group = columns.column(clip.group for clip in clips)
        label = columns.labels(clips)
        shape = (len(label.names), len(part.names))
        place = part.codes[label.rows]
        own, of, where = columns.distinct(label.codes, group.codes[label.rows], place)
        pair = own * max(len(group.names), 1) + of
        _, first, count = np.unique(pair, return_index=True, return_counts=True)
        alone = first[count == 1]
        known = np.ones(shape[0], bool)
        if group.names[:1] == [""]:
            known[own[of == 0]] = False
        return cls(
            label.names,
            part.names,
            columns.table(label.codes, place, shape),
            columns.table(own, where, shape) * known[:, np.newaxis],
            columns.table(own[alone], where[alone], shape),
            np.bincount(own[first], minlength=shape[0]) * known,
        )

    def named(self, values: np.ndarray) -> dict[str, int]:
        """Return a value for each label."""
        return dict(zip(self.labels, values.tolist(), strict=True))


def _of_splits(manifest: Manifest) -> Iterator[Caution]:
    table = _Table.of(manifest, leakage.of_splits(manifest))
    if "train" not in table.parts:
        return
    place = {part: index for index, part in enumerate(table.parts)}
    clips = table.clips[:, place["train"]]
    for split in SPLITS[1:]:
        if split in place:
            lost = (clips > 0) & (table.clips[:, place[split]] == 0)
            if lost.any():
                named = _some({k: 0 for k, v in table.named(lost).items() if v})
                text = f"labels in train, but not in {split}: {named}"
                yield Caution("missing", text)
    yield from _few(table.named(clips), "in train")
    yield from _one_group(table.named(table.groups[:, place["train"]]), "in train")


def _of_folds(manifest: Manifest) -> Iterator[Caution]:
    table = _Table.of(manifest, leakage.of_folds(manifest))
    folds = [i for i, part in enumerate(table.parts) if part != leakage.NO_FOLD]
    if not folds:
        return
    absent = table.named((table.clips[:, folds] == 0).sum(axis=1))
    # What is in one fold alone is a leak.
    lost = {k: n for k, n in absent.items() if 0 < n < len(folds) - 1}
    if lost:
        text = f"labels missing from as many of {len(folds)} folds: {_some(lost)}"
        yield Caution("missing", text)
    where = "in the training for some fold"
    left = table.clips.sum(axis=1) - table.clips[:, folds].max(axis=1)
    yield from _few(table.named(left), where)
    groups = table.total - table.only[:, folds].max(axis=1)
    yield from _one_group(table.named(groups), where)


def _silent(manifest: Manifest) -> Iterator[Caution]:
    silent = [clip.clip for clip in manifest if leakage.is_silent(clip)]
    if silent:
        named = _some(dict.fromkeys(silent, 0))
        text = f"{len(silent):,} clips are digital silence: {named}"
        yield Caution("silence", text)


def _few(clips: Mapping[str, int], where: str) -> Iterator[Caution]:
    few = {label: n for label, n in clips.items() if 0 < n < _FEW}
    if few:
        text = f"labels with fewer than {_FEW} clips {where}: {_some(few)}"
        yield Caution("few", text)


def _one_group(groups: Mapping[str, int], where: str) -> Iterator[Caution]:
    alone = {label: 0 for label, n in groups.items() if n == 1}
    if alone:
        text = f"labels from a single group {where}: {_some(alone)}"
        yield Caution("group", text)


def _some(counts: Mapping[str, int]) -> str:
    return leakage.some(f"'{k}' ({n})" if n else f"'{k}'" for k, n in counts.items())
