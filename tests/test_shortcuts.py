import csv
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
import soundfile
from sklearn.metrics import balanced_accuracy_score, recall_score

from rehear import shortcuts
from rehear.manifest import Clip, Manifest
from rehear.randomness import generator


def made(count, *, labels="abcd", groups=12, seed=0, **columns):
    """Return clips whose numbers say nothing, but for the given columns."""
    draws = np.random.default_rng(seed)
    rows = [
        {
            "labels": (labels[i % len(labels)],),
            "group": f"g{draws.integers(groups)}" if groups else "",
            "duration": float(draws.lognormal(1, 0.4)),
            "level": float(draws.normal(-25, 6)),
            "sample_rate": 16000,
            "channels": 1,
        }
        for i in range(count)
    ]
    for name, of in columns.items():
        for row in rows:
            row[name] = of(row, draws)
    clips = (Clip(clip=str(i), file=f"{i}.wav", **row) for i, row in enumerate(rows))
    return Manifest(tuple(clips))


def strong(manifest):
    found = shortcuts.measure(manifest)
    return {(s.number, s.tells): round(s.score, 2) for s in found if s.strong}


def test_numbers_that_say_nothing_are_at_chance():
    found = {(s.number, s.tells): s for s in shortcuts.measure(made(2000))}
    assert {number for number, _ in found} == {"duration", "level"}
    for number in ("duration", "level"):
        whole = found.pop((number, ""))
        assert whole.chance == 0.25
        assert whole.score == pytest.approx(0.25, abs=0.04)
    assert all(s.score < 0.6 and s.chance == 0.5 for s in found.values())


def test_a_class_that_is_always_as_long_is_found():
    of = lambda row, draws: 5.0 if row["labels"] == ("b",) else row["duration"]  # noqa: E731
    assert strong(made(400, duration=of)) == {("duration", "b"): 1.0}


def test_a_class_that_was_recorded_louder_is_found():
    def of(row, draws):
        return draws.normal(-25, 3) + 10 * (row["labels"] == ("a",))

    found = strong(made(400, level=of))
    assert found.keys() == {("level", "a")}
    assert found["level", "a"] > 0.85


def test_every_class_at_its_own_rate_is_found():
    rates = {"a": 8000, "b": 16000, "c": 44100, "d": 48000}
    found = strong(made(200, sample_rate=lambda row, _: rates[row["labels"][0]]))
    assert found["sample rate", ""] == 1.0


def test_one_class_alone_in_stereo_is_found():
    def of(row, draws):
        return 2 if row["labels"] == ("c",) and draws.random() < 0.6 else 1

    assert strong(made(400, channels=of)).keys() == {("channels", "c")}


def test_silence_is_below_every_level():
    of = lambda row, _: None if row["labels"] == ("d",) else row["level"]  # noqa: E731
    assert strong(made(400, level=of)) == {("level", "d"): 1.0}


def test_what_holds_for_one_group_alone_is_no_shortcut():
    """Every speaker has a length for every class, but none has another's."""
    lengths = np.random.default_rng(1).permutation(60)

    def of(row, draws):
        label, group = "abcd".index(row["labels"][0]), int(row["group"][1:])
        return float(1 + lengths[4 * group + label])

    grouped = made(1200, duration=of)
    assert not strong(grouped)
    loose = replace(grouped, clips=tuple(replace(c, group="") for c in grouped))
    assert strong(loose)["duration", ""] > 0.7


def test_a_class_in_one_site_is_measured_over_clips():
    site = lambda row, _: f"site {row['labels'][0]}"  # noqa: E731
    of = lambda row, draws: draws.normal(-30 + 9 * "abcd".index(row["labels"][0]))  # noqa: E731
    manifest = made(400, group=site, level=of)
    assert strong(manifest)["level", ""] > 0.9


def by_hand(manifest, number, label=None):
    """Classify clip by clip, with the part of its group left out."""
    clips = manifest.clips
    groups = sorted({f"group {clip.group}" for clip in clips})
    order = generator(0, "shortcuts").permutation(len(groups))
    part = {group: order[i] % 10 for i, group in enumerate(groups)}
    values = np.rint(
        [getattr(c, number) / {"duration": 1e-3}.get(number, 0.1) for c in clips]
    )
    bins = min(max(int(len(clips) ** 0.5), 2), 32)
    cuts = np.sort(values)[[i * len(clips) // bins for i in range(1, bins)]]
    twice = [b for a, b in pairwise(cuts) if a == b]
    edges = sorted({*cuts.tolist(), *(v + 1 for v in twice)})
    cells = [sum(value >= edge for edge in edges) for value in values]
    names = [c.labels[0] if label is None else label in c.labels for c in clips]
    kinds = sorted(set(names), reverse=label is not None)
    said = []
    for mine, cell in zip(clips, cells, strict=True):
        learnt = Counter()
        for clip, other, name in zip(clips, cells, names, strict=True):
            if part[f"group {clip.group}"] != part[f"group {mine.group}"]:
                learnt[name] += 1
                learnt[name, other] += 1
        likely = [(learnt[k, cell] + 1) / (learnt[k] + len(edges) + 1) for k in kinds]
        best = int(np.argmax(likely))
        if label is not None and likely[0] == likely[1]:
            best = 1
        said.append(kinds[best])
    return names, said


@pytest.mark.parametrize("number", ["duration", "level"])
def test_score_is_that_of_classifying_every_clip_by_itself(number):
    def of(row, draws):
        return draws.normal(3 + "abcd".index(row["labels"][0]), 1.5)

    manifest = made(150, **{number: of})
    found = {(s.number, s.tells): s for s in shortcuts.measure(manifest)}
    names, said = by_hand(manifest, number)
    expected = recall_score(names, said, average="macro")
    assert found[number, ""].score == pytest.approx(expected)
    (label,) = [tells for n, tells in found if n == number and tells]
    scores = [balanced_accuracy_score(*by_hand(manifest, number, x)) for x in "abcd"]
    assert found[number, label].score == pytest.approx(max(scores))
    assert label == "abcd"[int(np.argmax(scores))]


def test_tags_are_told_from_the_clips_without_them():
    draws = np.random.default_rng(3)
    clips = []
    for clip in made(900):
        tags = [tag for tag in ("rain", "bird", "wind") if draws.random() < 0.3]
        level = clip.level + 25 * ("rain" in tags)
        clips.append(replace(clip, labels=tuple(tags), level=level))
    manifest = Manifest(tuple(clips))
    found = shortcuts.measure(manifest)
    assert [(s.number, s.strong) for s in found] == [
        ("duration", False),
        ("level", True),
    ]
    assert found[1].tells == "rain"
    assert found[1].score > 0.9


def test_targets_are_ranked_as_scipy_does():
    draws = np.random.default_rng(0)
    arousal = draws.normal(size=300)
    levels = np.round(0.8 * arousal + draws.normal(0, 0.5, 300), 1)
    clips = tuple(
        Clip(str(i), f"{i}", targets=(float(a), 1.0), level=float(x), duration=1.0)
        for i, (a, x) in enumerate(zip(arousal, levels, strict=True))
    )
    (found,) = shortcuts.measure(Manifest(clips, ("arousal", "constant")))
    expected = scipy.stats.spearmanr(levels, arousal).statistic
    assert found.score == pytest.approx(expected)
    assert (found.number, found.tells, found.strong) == ("level", "arousal", True)
    assert "Spearman's rank correlation 0.8" in shortcuts.text(found)


@pytest.mark.parametrize("groups", [0, 5])
def test_few_clips_seldom_give_a_false_alarm(groups):
    alarms = 0
    for seed in range(100):
        alarms += bool(
            strong(made(6 + seed % 15, labels="ab", groups=groups, seed=seed))
        )
    assert alarms <= 5


def test_what_it_says_does_not_depend_on_the_order_of_clips():
    manifest = made(300, level=lambda row, d: d.normal(ord(row["labels"][0])))
    order = np.random.default_rng(0).permutation(300)
    other = Manifest(tuple(manifest.clips[i] for i in order))
    assert shortcuts.measure(other) == shortcuts.measure(manifest)


@pytest.mark.parametrize(
    "clips",
    [
        (),
        (Clip("a", "a", labels=("x",), duration=1.0),),
        tuple(Clip(str(i), str(i), labels=(str(i),), duration=i) for i in range(9)),
        tuple(Clip(str(i), str(i), labels=("x",), duration=i) for i in range(9)),
        tuple(Clip(str(i), str(i), duration=i) for i in range(9)),
        tuple(Clip(str(i), str(i), labels=("x", f"{i}"), duration=i) for i in range(9)),
        tuple(Clip(str(i), f"{i}.npy", labels=("xy"[i % 2],)) for i in range(9)),
    ],
)
def test_where_nothing_can_be_told_nothing_is_said(clips):
    assert shortcuts.measure(Manifest(clips)) == []


def test_a_text_names_how_many_other_labels_are_told():
    found = shortcuts.Shortcut("level", "a", "uar", 0.91, 0.5, strong=True, others=3)
    assert shortcuts.text(found).startswith("level alone tells 'a' (and 3 more) from")


def lengths_of(folder):
    with (folder / "labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    clips = (
        Clip(
            clip=row["path"],
            file=row["path"],
            labels=(row["label"],),
            group=row["speaker"],
            duration=soundfile.info(folder / row["path"]).duration,
        )
        for row in rows
    )
    return Manifest(tuple(clips))


@pytest.mark.parametrize(("name", "most"), [("fsdd", 0.2), ("emodb4", 0.45)])
def test_lengths_of_real_speech_are_no_strong_shortcut(recordings, name, most):
    manifest = lengths_of(recordings / name)
    whole, best = shortcuts.measure(manifest)
    assert whole.chance < whole.score < most
    assert not whole.strong
    assert not best.strong


def test_gun_shots_among_city_sounds_are_told_by_their_length(recordings):
    with (recordings / "metadata_fixtures" / "UrbanSound8K.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    clips = (
        Clip(
            clip=row["slice_file_name"],
            file=row["slice_file_name"],
            labels=(row["class"],),
            group=row["fsID"],
            duration=float(row["end"]) - float(row["start"]),
        )
        for row in rows
    )
    found = strong(Manifest(tuple(clips)))
    assert found.keys() == {("duration", "gun_shot")}
