"""Draws depend on their address alone."""

import subprocess
import sys

import numpy as np
import pytest

from rehear.randomness import generator, key


def test_same_address_gives_the_same_stream_whatever_was_drawn_before():
    expected = generator(1, "augment", 3, "clip").standard_normal(5)
    np.random.default_rng().standard_normal(100)
    generator(1, "augment", 2, "clip").standard_normal(7)
    assert (generator(1, "augment", 3, "clip").standard_normal(5) == expected).all()


@pytest.mark.parametrize(
    "other",
    [(2, "a", 0, "x"), (1, "b", 0, "x"), (1, "a", 1, "x"), (1, "a", 0, "y")],
)
def test_every_part_of_the_address_counts(other):
    assert key(*other) != key(1, "a", 0, "x")


def test_parts_of_the_address_do_not_run_together():
    assert key(1, "a", "bc") != key(1, "a", "b", "c")
    assert key(1, "a", 11) != key(1, "a", 1, 1)


def test_key_does_not_depend_on_the_process():
    code = "from rehear.randomness import key; print(key(1, 'a', 'ü'))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert seen == {f"{key(1, 'a', 'ü')}\n"}


def test_streams_of_neighbouring_addresses_are_uncorrelated():
    draws = np.array([generator(0, "x", i).standard_normal(200) for i in range(100)])
    correlation = np.corrcoef(draws) - np.eye(100)
    assert abs(correlation).max() < 0.35
