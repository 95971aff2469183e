"""Drawing train, dev and test splits, and cross-validation folds.

Clips of one group (a speaker, a recorder, a site) always stay together; without
groups, the clips of one recording do. Among the divisions that keep this, one is
drawn in which labels are spread as evenly as possible. It depends on the seed and
on the names and labels of the clips, not on the order of files on a disk.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rehear import randomness
from rehear.errors import DataError, suggest
from rehear.manifest import Clip, Manifest

NO_FOLD = "none"
_BINS = 5  # quantiles of a regression target that are spread like labels
_EVERY = ""  # stands for a label of every clip, which balances the sizes
_WORK = 500_000  # counts looked at before the best division so far is taken
_MOST_TRIES = 50
_JITTER = 2.0  # at the last try, a group may count as up to three times as large
_TIE_BREAK = 1e-3  # weight of sizes against labels; labels alone decide mostly
_UNSEEN = 100.0  # cost of a label that train lacks
_ABSENT = 1.0  # cost of a label that another part lacks
Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class _Unit:
    """Clips that must not be parted.

    Attributes:
        name: of the group or file
        size: number of clips
        counts: clips of each label
        rarest: how often its rarest label occurs in all units
    """

    name: str
    size: int
    counts: Counts
    rarest: int


def unit_of(clip: Clip) -> str:
    """Return the name of what must stay in one split with ``clip``."""
    return f"group {clip.group}" if clip.group else f"file {clip.file}"


def draw(
    manifest: Manifest,
    *,
    dev: float,
    test: float,
    seed: int,
    copies: Sequence[tuple[str, str]] = (),
) -> Manifest:
    """Fill in the splits that a data set does not define.

    Without any split, train, dev and test are drawn; otherwise the missing ones
    are drawn from train: whole groups, unless the given splits share groups. A
    data set that defines folds instead of splits stays as it is, since
    ``for_fold`` makes its splits.

    Args:
        manifest: clips with or without splits
        dev: share for dev of the clips that are divided; 0 for no dev split
        test: share for test; 0 for no test split
        seed: another seed gives another division
        copies: pairs of clips, by their ids, that must not be parted

    Raises:
        DataError: if only some of the clips have a split, none is for training,
            or there are fewer groups than splits
    """
    given = {clip.split for clip in manifest}
    if "" in given and any(clip.fold for clip in manifest):
        return manifest
    if "" in given and len(given) > 1:
        blank = next(clip.clip for clip in manifest if not clip.split)
        raise DataError(
            f"clip '{blank}' has no split, though others have one; give a split to "
            "every clip, or to none"
        )
    if given and "" not in given and "train" not in given:
        raise DataError(
            f"no clip is for training: the splits are {', '.join(sorted(given))}; "
            "give some clips the split 'train'"
        )
    asked = {"dev": dev, "test": test}
    shares = {name: s for name, s in asked.items() if s > 0 and name not in given}
    if not shares and given != {""}:
        return manifest
    pool = [clip for clip in manifest if clip.split in ("", "train")]
    shares = {"train": 1 - sum(shares.values()), **shares}
    drawn = pool
    if _shares_groups(manifest):
        drawn = [replace(clip, group="") for clip in pool]
    parts = _divide(drawn, shares, seed=seed, purpose="splits", copies=copies)
    return _renamed(
        manifest, {id(clip): part for clip, (_, part) in zip(pool, parts, strict=True)}
    )


def _shares_groups(manifest: Manifest) -> bool:
    """Say whether given splits have groups in common.

    A protocol that tests on the groups that it trains on must not lose some of
    them to a drawn split: the test split would then hold groups never heard.
    """
    groups: dict[str, set[str]] = {}
    for clip in manifest:
        if clip.split and clip.group:
            groups.setdefault(clip.split, set()).add(clip.group)
    train = groups.pop("train", set())
    return any(train & others for others in groups.values())


def draw_folds(
    manifest: Manifest,
    folds: int,
    *,
    seed: int,
    copies: Sequence[tuple[str, str]] = (),
) -> Manifest:
    """Draw cross-validation folds, named ``1`` to ``folds``.

    Clips that the data set holds out by the split ``test`` get a fold as well:
    in cross-validation, every clip is tested once. Folds that are given stay.

    Args:
        manifest: clips, with groups where there are any
        folds: number of folds, at least 2; 0 leaves the manifest as it is
        seed: another seed gives other folds
        copies: pairs of clips, by their ids, that must not be parted

    Raises:
        DataError: if there are fewer groups than folds, or one fold is asked for
    """
    if folds == 0 or any(clip.fold for clip in manifest):
        return manifest
    if folds < 2:
        raise DataError(f"fetch.split.folds is {folds}; expected 0 or at least 2")
    shares = {str(number + 1): 1 / folds for number in range(folds)}
    pool = list(manifest)
    parts = _divide(pool, shares, seed=seed, purpose="folds", copies=copies)
    fold_of = {id(clip): part for clip, part in parts}
    clips = tuple(replace(clip, fold=fold_of[id(clip)]) for clip in manifest)
    return replace(manifest, clips=clips)


def for_fold(manifest: Manifest, fold: str, *, dev: float, seed: int) -> Manifest:
    """Return the splits of one cross-validation run.

    The clips of ``fold`` are the test split, the other folds train, from which
    dev is drawn. Clips without a fold are used for training, unless the data
    set holds them out as dev or test: then they are left out.

    Args:
        manifest: clips with folds
        fold: name of a fold; ``none`` returns the manifest with its own splits
        dev: share of the remaining clips for the dev split; 0 for none
        seed: another seed gives another dev split

    Raises:
        DataError: if there is no such fold, or ``none`` is asked for and the
            clips have no splits
    """
    folds = sorted({clip.fold for clip in manifest if clip.fold})
    if fold == NO_FOLD:
        if any(not clip.split for clip in manifest):
            raise DataError(
                "the data set defines folds but no splits; set folds: "
                f"[{', '.join(folds)}] in params.yaml"
            )
        return manifest
    if fold not in folds:
        raise DataError(
            f"unknown fold '{fold}'.{suggest(fold, folds)} The manifest has: "
            f"{', '.join(folds) or 'none; set fetch.split.folds to draw some'}"
        )
    clips = tuple(
        replace(clip, split="test" if clip.fold == fold else "train")
        for clip in manifest
        if clip.fold or clip.split in ("", "train")
    )
    if dev <= 0:
        return replace(manifest, clips=clips)
    pool = [clip for clip in clips if clip.split == "train"]
    shares = {"train": 1 - dev, "dev": dev}
    parts = _divide(pool, shares, seed=seed, purpose=f"dev of fold {fold}")
    split_of = {id(clip): part for clip, part in parts}
    return _renamed(replace(manifest, clips=clips), split_of)


def _renamed(manifest: Manifest, split_of: Mapping[int, str]) -> Manifest:
    clips = tuple(
        replace(clip, split=split_of.get(id(clip), clip.split)) for clip in manifest
    )
    return replace(manifest, clips=clips)


def _divide(
    clips: Sequence[Clip],
    shares: Mapping[str, float],
    *,
    seed: int,
    purpose: str,
    copies: Sequence[tuple[str, str]] = (),
) -> Iterable[tuple[Clip, str]]:
    """Return every clip with the part that it is drawn into."""
    names = _unit_names(clips, copies)
    units = _units(clips, names)
    if len(units) < len(shares):
        raise _too_few(clips, units, shares)
    work = sum(len(unit.counts) for unit in units) * len(shares)
    tries = int(np.clip(_WORK // work, 1, _MOST_TRIES))
    part_of: dict[str, str] = {}
    least = float("inf")
    for attempt in range(tries):
        keys = {
            unit.name: randomness.key(seed, purpose, attempt, unit.name)
            for unit in units
        }
        division = _Division(shares, units)
        spread = _JITTER * attempt / _MOST_TRIES
        order = sorted(units, key=lambda u: _rank(u, keys[u.name], spread))
        drawn = division.fill(order)
        if division.cost() < least:
            least, part_of = division.cost(), drawn
    return [(clip, part_of[name]) for clip, name in zip(clips, names, strict=True)]


def _rank(unit: _Unit, key: int, spread: float) -> tuple[float, int, int]:
    # Large units first, as small ones fill the gaps that they leave; of equal
    # ones those with rare labels, as there is the least choice for them.
    jitter = 1.0 if unit.size == 1 else 1.0 + spread * key / 2**128
    return -unit.size * jitter, unit.rarest, key


def _unit_names(clips: Sequence[Clip], copies: Sequence[tuple[str, str]]) -> list[str]:
    """Return the unit of every clip; units that share a recording are one."""
    parent = {unit_of(clip): unit_of(clip) for clip in clips}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    def join(one: str, other: str) -> None:
        pair = root(one), root(other)
        # The first name in the alphabet, whatever the order of the clips.
        parent[max(pair)] = min(pair)

    first: dict[str, str] = {}
    for clip in clips:
        if clip.sha256:
            join(unit_of(clip), first.setdefault(clip.sha256, unit_of(clip)))
    if copies:
        of_clip = {clip.clip: unit_of(clip) for clip in clips}
        for pair in copies:
            if pair[0] in of_clip and pair[1] in of_clip:
                join(of_clip[pair[0]], of_clip[pair[1]])
    return [root(unit_of(clip)) for clip in clips]


def _units(clips: Sequence[Clip], names: Sequence[str]) -> list[_Unit]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    sizes: Counter[str] = Counter()
    for name, labels in zip(names, _labels(clips), strict=True):
        sizes[name] += 1
        counts[name].update(labels)
    carriers = Counter(label for unit in counts.values() for label in unit)
    return [
        _Unit(
            name=name,
            size=size,
            counts=dict(sorted(counts[name].items())),
            rarest=min((carriers[label] for label in counts[name]), default=0),
        )
        for name, size in sorted(sizes.items())
    ]


def _labels(clips: Sequence[Clip]) -> Iterable[tuple[str, ...]]:
    """Return what is spread evenly: labels, or quantiles of every target."""
    if not clips or not clips[0].targets:
        return (clip.labels for clip in clips)
    values = np.array([clip.targets for clip in clips])
    inner = np.linspace(0, 1, _BINS + 1)[1:-1]
    bins = np.stack(
        [
            np.searchsorted(np.quantile(column, inner), column, side="right")
            for column in values.T
        ],
        axis=1,
    )
    return (
        tuple(f"target {number}: {value}" for number, value in enumerate(row))
        for row in bins.tolist()
    )


class _Division:
    """Parts that are being filled with units.

    Every step puts a unit where the sum of squared distances between wanted and
    present counts, relative to how frequent a label is, falls the most.
    """

    def __init__(self, shares: Mapping[str, float], units: Sequence[_Unit]) -> None:
        totals: Counter[str] = Counter()
        for unit in units:
            totals.update(unit.counts)
        totals[_EVERY] = sum(unit.size for unit in units)
        self.totals = dict(totals)
        self.parts = list(shares)
        self.missing = [
            {label: share * n for label, n in totals.items()}
            for share in shares.values()
        ]
        self.sizes = [0] * len(self.parts)
        self.present: list[set[str]] = [set() for _ in self.parts]

    def fill(self, order: Sequence[_Unit]) -> dict[str, str]:
        part_of = {}
        for done, unit in enumerate(order):
            # A part is never left without any unit.
            forced = len(order) - done <= self.sizes.count(0)
            choice = self._best(unit, only_empty=forced)
            part_of[unit.name] = self.parts[choice]
            self.sizes[choice] += unit.size
            self.missing[choice][_EVERY] -= unit.size
            self.present[choice] |= unit.counts.keys()
            for label, count in unit.counts.items():
                self.missing[choice][label] -= count
        return part_of

    def _best(self, unit: _Unit, *, only_empty: bool) -> int:
        weights = [(label, n / self.totals[label]) for label, n in unit.counts.items()]
        weights.append((_EVERY, _TIE_BREAK * unit.size / self.totals[_EVERY]))
        best, most = 0, float("-inf")
        for part, missing in enumerate(self.missing):
            if only_empty and self.sizes[part]:
                continue
            gain = 0.0
            for label, weight in weights:
                gain += weight * missing[label]
            if gain > most:
                best, most = part, gain
        return best

    def cost(self) -> float:
        cost = 0.0
        labels = self.totals.keys() - {_EVERY}
        for part, missing, present in zip(
            self.parts, self.missing, self.present, strict=True
        ):
            # Sizes weigh as much as all labels together.
            cost += (missing[_EVERY] / self.totals[_EVERY]) ** 2 * len(self.totals)
            cost += sum((missing[label] / self.totals[label]) ** 2 for label in missing)
            lost = len(labels - present)
            cost += lost * (_UNSEEN if part == "train" else _ABSENT)
        return cost


def _too_few(
    clips: Sequence[Clip], units: Sequence[_Unit], shares: Mapping[str, float]
) -> DataError:
    kind = "groups" if any(clip.group for clip in clips) else "recordings"
    names = ", ".join(unit.name.partition(" ")[2] for unit in units[:10])
    return DataError(
        f"{len(units)} {kind} ({names}) cannot be divided into {len(shares)} parts "
        f"({', '.join(shares)}) without sharing one; add {kind}, or set "
        "fetch.split.dev, fetch.split.test or fetch.split.folds lower"
    )
