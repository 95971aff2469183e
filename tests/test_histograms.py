from bisect import bisect_right
from collections import Counter

import numpy as np
import pytest

from rehear import histograms
from rehear.manifest import Clip, Manifest


def manifest(durations, levels, splits):
    columns = zip(durations, levels, splits, strict=True)
    return Manifest(
        tuple(
            Clip(clip=str(i), file=str(i), duration=d, level=level, split=split)
            for i, (d, level, split) in enumerate(columns)
        )
    )


def test_every_clip_is_in_the_bin_that_it_belongs_to():
    draws = np.random.default_rng(0)
    durations = draws.lognormal(1, 1, 500).tolist()
    levels = draws.normal(-30, 8, 500).tolist()
    splits = draws.choice(["train", "dev", "test"], 500).tolist()
    found = histograms.describe(manifest(durations, levels, splits))
    for values, number in ((durations, "duration"), (levels, "level")):
        edges, counts = found[number]["edges"], found[number]["counts"]
        expected = Counter(
            (split, bisect_right(edges, value) - 1)
            for value, split in zip(values, splits, strict=True)
        )
        assert list(counts) == ["train", "dev", "test"]
        for split, row in counts.items():
            assert len(row) == len(edges) - 1
            assert row == [expected[split, place] for place in range(len(row))]


def test_bins_are_round_and_the_same_for_every_data_set():
    found = histograms.describe(manifest([0.9, 5.0], [-20.0, -31.0], ["", ""]))
    assert found["duration"] == {
        "unit": "s",
        "edges": [0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3],
        "counts": {"all": [1, 0, 0, 0, 0, 0, 0, 0, 1]},
    }
    assert found["level"]["edges"] == [-33, -30, -27, -24, -21, -18]


def test_silence_is_counted_beside_the_levels():
    found = histograms.describe(manifest([1.0] * 3, [None, -20.0, None], ["train"] * 3))
    assert found["level"]["counts"] == {"train": [1]}
    assert found["level"]["silent"] == 2


@pytest.mark.parametrize("duration", [1e-6, 1e9])
def test_extremes_are_in_the_outermost_bins(duration):
    found = histograms.describe(manifest([duration], [-400.0], [""]))
    assert found["duration"]["counts"] == {"all": [1]}
    assert found["level"]["counts"] == {"all": [1]}


def test_what_is_no_sound_has_no_histogram():
    assert histograms.describe(manifest([0.0, 0.0], [None, None], ["", ""])) == {}
    assert histograms.describe(Manifest(())) == {}


@pytest.mark.parametrize(("low", "high"), [(-3, 20), (0, 1), (5, 5), (-1e-3, 4e-3)])
def test_even_bins_hold_all_values(low, high):
    values = np.random.default_rng(0).uniform(low, high, 300)
    found = histograms.even(values, ["train", "test", ""] * 100)
    assert sum(histograms.summed(found["counts"])) == 300
    edges = found["edges"]
    assert edges[0] <= values.min()
    assert edges[-1] >= values.max()
    assert len(edges) - 1 in ([1] if low == high else range(7, 17))
    expected, _ = np.histogram(values, edges)
    assert histograms.summed(found["counts"]) == expected.tolist()
