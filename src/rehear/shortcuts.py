"""How well one number of a clip, such as its duration, tells its label.

A model may learn from the length of a recording, its level or its sample rate
what it should learn from the sound, and then fail on other recordings. So a
classifier that is given nothing but one of these numbers is cross-validated: the
values are cut into bins of equal size, and a bin goes to the label that is most
likely there when all labels weigh the same. Whole groups (speakers, recorders,
sites) are left out at a time, so that what counts holds for new ones too. Of
regression targets, Spearman's rank correlation is taken.

What is called strong is far more than nature explains. Duration tells four acted
emotions with a UAR of 0.39 and the sad ones from the rest with 0.74, ten spoken
digits with 0.11; level with 0.26, 0.64 (the neutral ones) and 0.13. None of these is
strong. One emotion made 6 dB louder is (0.83), and so are gun shots among city
sounds, which nearly always are shorter (0.92).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from rehear import columns, randomness
from rehear.division import unit_of
from rehear.manifest import Clip, Manifest

# Of the way from chance to perfect. Shouts are loud and some words are long, but
# no sound has a sample rate by nature.
_STRONG = {"duration": 0.5, "level": 0.5, "sample rate": 0.25, "channels": 0.25}
_DOUBT = 0.001  # chance of a false alarm among all labels
_PARTS = 10  # of the cross-validation
_MOST_BINS = 32
_STEPS = {"duration": 0.001, "level": 0.1}  # s and dB; below, all is the same
Values = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """What one number of a clip tells.

    Attributes:
        number: ``duration``, ``level``, ``sample rate`` or ``channels``
        tells: the target, or the label, against all others, that is told best;
            empty for all classes
        measure: ``uar`` or ``spearman``
        score: of the cross-validation
        chance: score of a guess
        strong: whether that is far from chance, and surely no accident
        others: how many other labels are told strongly
    """

    number: str
    tells: str
    measure: str
    score: float
    chance: float
    strong: bool
    others: int = 0


def measure(manifest: Manifest) -> list[Shortcut]:
    """Return what each number tells of all classes, of the label that it tells best.

    A number that is the same in all clips tells nothing and is left out.

    Args:
        manifest: with durations, levels, sample rates and channels
    """
    numbers = _numbers(manifest)
    if manifest.targets:
        return list(_of_targets(manifest, numbers))
    return list(_of_labels(manifest, numbers)) if numbers else []


def text(shortcut: Shortcut) -> str:
    """Return in one line what a shortcut tells, and why that matters."""
    number, score = shortcut.number, f"{shortcut.score:.2f}"
    advice = "a model may learn it instead of the sound"
    if shortcut.measure == "spearman":
        return (
            f"{number} alone goes along with '{shortcut.tells}': Spearman's rank "
            f"correlation {score}; {advice}"
        )
    told = "the classes apart"
    if shortcut.tells:
        more = f" (and {shortcut.others} more)" if shortcut.others else ""
        told = f"'{shortcut.tells}'{more} from the rest"
    return (
        f"{number} alone tells {told}: UAR {score} where chance is "
        f"{shortcut.chance:.2f}; {advice}"
    )


def _numbers(manifest: Manifest) -> Values:
    """Return the numbers that differ between clips, as whole steps."""
    clips = manifest.clips
    found = {
        "duration": [clip.duration for clip in clips],
        # Silence is below every level.
        "level": [-math.inf if clip.level is None else clip.level for clip in clips],
        "sample rate": [clip.sample_rate for clip in clips],
        "channels": [clip.channels for clip in clips],
    }
    steps = {
        name: np.rint(np.array(found[name]) / _STEPS.get(name, 1)) for name in found
    }
    return {name: v for name, v in steps.items() if (v != v[:1]).any()}


@dataclass(frozen=True)
class _Pairs:
    """Every clip with each of its labels, and how it is cross-validated.

    Attributes:
        labels: that occur in two units or more, but not in every clip
        rows: clip of each pair
        codes: label of each pair
        parts: in which each clip is left out
        units: units that have each label
        total: number of units
    """

    labels: Sequence[str]
    rows: np.ndarray
    codes: np.ndarray
    parts: np.ndarray
    units: np.ndarray
    total: int


def _pairs(clips: Sequence[Clip], units: Sequence[str]) -> _Pairs:
    """Pair clips with those labels that can be left out and still be known."""
    unit, label = columns.column(units), columns.labels(clips)
    total, many = len(unit.names), len(label.names)
    owners, _ = columns.distinct(label.codes, unit.codes[label.rows])
    often = np.bincount(owners, minlength=many)
    carried = np.bincount(label.codes, minlength=many)
    known = np.flatnonzero((often >= 2) & (carried < len(clips)))
    place = np.full(many, -1)
    place[known] = np.arange(len(known))
    kept = place[label.codes] >= 0
    order = randomness.generator(0, "shortcuts").permutation(total)
    return _Pairs(
        labels=[label.names[code] for code in known.tolist()],
        rows=label.rows[kept],
        codes=place[label.codes[kept]],
        parts=(order % _PARTS)[unit.codes],
        units=often[known],
        total=total,
    )


def _of_labels(manifest: Manifest, numbers: Values) -> Iterator[Shortcut]:
    clips = manifest.clips
    single = all(len(clip.labels) == 1 for clip in clips)
    pairs = _pairs(clips, [unit_of(clip) for clip in clips])
    if len(pairs.labels) < 1 + single:
        # Where every label has a group of its own, groups cannot be left out.
        pairs = _pairs(clips, [clip.clip for clip in clips])
    if len(pairs.labels) < 1 + single:
        return
    for number, values in numbers.items():
        told = _Told.by(values, pairs)
        if single:
            yield told.classes(number)
        if not single or len(pairs.labels) > 2:
            yield told.best_label(number)


@dataclass(frozen=True)
class _Told:
    """How a number was distributed over labels.

    Attributes:
        pairs: that were counted
        tested: ``(parts, bins, labels)``, clips with a label
        rest: likewise, clips without it
    """

    pairs: _Pairs
    tested: np.ndarray
    rest: np.ndarray

    @classmethod
    def by(cls, values: np.ndarray, pairs: _Pairs) -> "_Told":
        bins, count = _binned(values)
        cells = pairs.parts * count + bins
        shape = (_PARTS, count, len(pairs.labels))
        index = cells[pairs.rows] * shape[2] + pairs.codes
        tested = np.bincount(index, minlength=math.prod(shape)).reshape(shape)
        every = np.bincount(cells, minlength=shape[0] * shape[1])
        return cls(pairs, tested, every.reshape(*shape[:2], 1) - tested)

    def classes(self, number: str) -> Shortcut:
        """Return how well all classes are told apart."""
        likely = _likely(self.tested)
        choice = likely.argmax(axis=2, keepdims=True) == np.arange(likely.shape[2])
        recalls = (self.tested * choice).sum((0, 1)) / self.tested.sum((0, 1))
        chance = 1 / len(recalls)
        error = np.sqrt(_variances(recalls, self.pairs.units).sum()) / len(recalls)
        score = float(recalls.mean())
        strong = _is_strong(number, score, chance, float(error))
        return Shortcut(number, "", "uar", score, chance, strong)

    def best_label(self, number: str) -> Shortcut:
        """Return how well the label is told that is told best."""
        chosen = _likely(self.tested) > _likely(self.rest)
        hits = (self.tested * chosen).sum((0, 1)) / self.tested.sum((0, 1))
        spared = (self.rest * ~chosen).sum((0, 1)) / self.rest.sum((0, 1))
        scores = (hits + spared) / 2
        total = np.full(len(hits), self.pairs.total)
        variances = _variances(hits, self.pairs.units) + _variances(spared, total)
        errors = np.sqrt(variances) / 2
        strong = [
            _is_strong(number, score, 0.5, error, tests=len(scores))
            for score, error in zip(scores.tolist(), errors.tolist(), strict=True)
        ]
        order = np.lexsort((-scores, np.logical_not(strong)))
        best = int(order[0])
        label, others = self.pairs.labels[best], sum(strong) - strong[best]
        score = float(scores[best])
        return Shortcut(number, label, "uar", score, 0.5, strong[best], others)


def _binned(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the bin of every value, and the number of bins.

    Bins hold equally many clips, where not many have the very same value: that
    is a bin of its own.
    """
    count = int(np.clip(math.isqrt(len(values)), 2, _MOST_BINS))
    edges = np.unique(values)[1:]
    if len(edges) >= count:
        cuts = np.sort(values)[np.arange(1, count) * len(values) // count]
        heavy = cuts[1:][cuts[1:] == cuts[:-1]]
        edges = np.unique([*cuts, *(heavy + 1)])
    return np.searchsorted(edges, values, side="right"), len(edges) + 1


def _likely(tested: np.ndarray) -> np.ndarray:
    """Return how likely each bin is given a label, without the part itself."""
    learnt = tested.sum(axis=0) - tested
    totals = learnt.sum(axis=1, keepdims=True)
    return np.where(totals > 0, (learnt + 1) / (totals + tested.shape[1]), 0.0)


def _variances(recalls: np.ndarray, units: np.ndarray) -> np.ndarray:
    # Clips of one group are not independent, so groups count; after Laplace,
    # all hits out of a few are not taken for certain.
    smooth = (recalls * units + 1) / (units + 2)
    return smooth * (1 - smooth) / units


def _is_strong(
    number: str, score: float, chance: float, error: float, *, tests: int = 1
) -> bool:
    surely = score - NormalDist().inv_cdf(1 - _DOUBT / tests) * error
    effect = (score - chance) / (1 - chance)
    # Sums of a few clips must not be just below by rounding.
    return effect > _STRONG[number] - 1e-9 and surely > chance


def _of_targets(manifest: Manifest, numbers: Values) -> Iterator[Shortcut]:
    units = len({unit_of(clip) for clip in manifest})
    if units < 4:
        return
    for number, values in numbers.items():
        ranks = _ranks(values)
        for index, target in enumerate(manifest.targets):
            wanted = np.array([clip.targets[index] for clip in manifest])
            if (wanted != wanted[0]).any():
                score = float(np.corrcoef(ranks, _ranks(wanted))[0, 1])
                doubt = NormalDist().inv_cdf(1 - _DOUBT / 2) / math.sqrt(units - 3)
                surely = math.atanh(min(abs(score), 1 - 1e-12)) > doubt
                strong = abs(score) >= _STRONG[number] and surely
                yield Shortcut(number, target, "spearman", score, 0.0, strong)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place.reshape(-1)]
