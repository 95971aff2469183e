"""Global generators are seeded for one call, and then as they were."""

import random  # noqa: TID251 - seeded and restored
import warnings

import numpy as np
import pytest
import torch

from rehear.augmentations.seeding import python_random, quiet, seeded
from rehear.randomness import generator


def draw():
    gaussian = float(np.random.standard_normal())  # noqa: NPY002
    return random.random(), gaussian, float(torch.rand(()))


def keyed(key):
    with seeded(generator(key, "test")):
        return draw()


def test_draws_are_those_of_the_key():
    first = keyed(1)
    draw()
    assert keyed(1) == first
    assert all(a != b for a, b in zip(keyed(2), first, strict=True))


def test_what_is_drawn_outside_goes_on_as_if_nothing_had_been():
    def three(inside):
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        torch.manual_seed(5)
        found = [draw()]  # leaves half a pair of Gaussian draws in store
        inside()
        return [*found, draw(), draw()]

    assert three(lambda: None) == three(lambda: keyed(1))


def test_states_come_back_after_an_error():
    random.seed(5)
    expected = draw()
    random.seed(5)
    np_state = np.random.get_state()  # noqa: NPY002
    torch_state = torch.get_rng_state()
    with pytest.raises(KeyError), seeded(generator(1, "test")):
        draw()
        raise KeyError
    assert random.random() == expected[0]
    assert (np.random.get_state()[1] == np_state[1]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_numpys_generator_is_left_alone_where_it_is_not_asked_for():
    expected = keyed(1)
    np.random.seed(5)  # noqa: NPY002
    gaussian = draw()[1]
    np.random.seed(5)  # noqa: NPY002
    with seeded(generator(1, "test"), numpy=False):
        found = draw()
    assert found == (expected[0], gaussian, expected[2])


def test_nested_calls():
    with seeded(generator(1, "test")):
        draw()
        expected = draw()
    with seeded(generator(1, "test")):
        draw()
        keyed(2)
        assert draw() == expected


def test_a_gpu_in_use_is_seeded_and_restored(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: ["state"])
    monkeypatch.setattr(torch.cuda, "manual_seed_all", calls.append)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", calls.append)
    keyed(1)
    keyed(1)
    assert calls[0] == calls[2]
    assert calls[1] == calls[3] == ["state"]


def test_a_generator_of_pythons_has_the_key():
    numbers = [python_random(generator(key, "test")).random() for key in (1, 1, 2)]
    assert numbers[0] == numbers[1] != numbers[2]


def test_quiet_hides_warnings_and_only_inside():
    with quiet():
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    with pytest.raises(DeprecationWarning):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
