from collections import Counter

import numpy as np

from rehear import columns
from rehear.manifest import Clip


def test_column_numbers_names_in_the_order_of_the_alphabet():
    found = columns.column(["b", "", "a", "b"])
    assert found.names == ["", "a", "b"]
    assert found.codes.tolist() == [2, 0, 1, 2]


def test_labels_pair_every_clip_with_each_of_its_labels():
    clips = [
        Clip("1", "1", labels=("y", "x")),
        Clip("2", "2"),
        Clip("3", "3", labels=("x",)),
    ]
    found = columns.labels(clips)
    pairs = [
        (int(row), found.names[code])
        for row, code in zip(found.rows, found.codes, strict=True)
    ]
    assert pairs == [(0, "y"), (0, "x"), (2, "x")]


def test_nothing_gives_nothing():
    assert columns.column([]).names == []
    assert len(columns.labels([]).rows) == 0
    empty = np.zeros(0, np.int64)
    assert [len(code) for code in columns.distinct(empty, empty)] == [0, 0]
    assert columns.table(empty, empty, (2, 3)).tolist() == [[0] * 3] * 2


def test_counts_are_those_of_counter():
    draws = np.random.default_rng(0)
    a, b = draws.integers(0, 7, 500), draws.integers(0, 5, 500)
    expected = Counter(zip(a.tolist(), b.tolist(), strict=True))
    table = columns.table(a, b, (7, 5))
    assert {(i, j): table[i, j] for i, j in expected} == expected
    assert table.sum() == 500
    one, other = columns.distinct(a, b)
    assert list(zip(one.tolist(), other.tolist(), strict=True)) == sorted(expected)
