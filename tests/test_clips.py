"""Batches depend on seed, epoch and clip, and on nothing else."""

import numpy as np
import pytest
import torch

from rehear import clips
from rehear.clips import ClipSet, Step, cut
from rehear.errors import DataError


class Stored:
    """Packed features in memory."""

    def __init__(self, count=21, shape=(1, 4, 5)):
        draws = np.random.default_rng(0)
        self.values = draws.standard_normal((count, *shape)).astype(np.float32)
        self.ids = [f"clip-{i}" for i in range(count)]
        self.shape = shape

    def gather(self, rows):
        return self.values[rows]

    def __getitem__(self, row):
        return self.values[row]


def add_noise(x, generator):
    return x + generator.standard_normal(x.shape, dtype=np.float32)


def mix(x, targets, generator):
    weight = np.float32(generator.random())
    return weight * x + (1 - weight) * x[::-1], targets


def double(x):
    return 2 * x


STEPS = [Step(double, "double"), Step(add_noise, "noise", draws=True)]


def make(steps=STEPS, mixes=(), **options):
    store = Stored()
    targets = np.arange(21, dtype=np.int64) % 3
    return ClipSet(
        store,
        range(21),
        targets,
        steps=steps,
        mixes=mixes,
        spread=lambda t: np.eye(3, dtype=np.float32)[t],
        **options,
    )


def epoch(clip_set, number, **options):
    found = list(clip_set.batches(number, 5, shuffle=True, **options))
    return (
        torch.cat([batch.features for batch in found]),
        torch.cat([batch.targets for batch in found]),
    )


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_a_bit(workers):
    clip_set = make(mixes=[mix], seed=3)
    for number in (0, 4):
        here = epoch(clip_set, number)
        there = epoch(clip_set, number, workers=workers)
        assert torch.equal(here[0], there[0])
        assert torch.equal(here[1], there[1])


def test_epochs_and_seeds_differ():
    first, second = make(seed=3), make(seed=4)
    assert not torch.equal(epoch(first, 0)[0], epoch(first, 1)[0])
    assert not torch.equal(epoch(first, 0)[0], epoch(second, 0)[0])


def test_an_epoch_continues_where_it_was_left():
    clip_set = make(mixes=[mix])
    whole = list(clip_set.batches(2, 5, shuffle=True))
    rest = list(clip_set.batches(2, 5, shuffle=True, first=2))
    assert len(rest) == len(whole) - 2
    assert all(
        torch.equal(a.features, b.features)
        for a, b in zip(whole[2:], rest, strict=True)
    )


def test_memory_and_disk_give_the_same_batches(monkeypatch):
    in_memory = epoch(make(mixes=[mix]), 1)[0]
    monkeypatch.setattr(clips, "MEMORY_SHARE", 0.0)
    assert torch.equal(epoch(make(mixes=[mix]), 1)[0], in_memory)


def test_every_clip_comes_once_and_the_draw_follows_the_clip():
    clip_set = make()
    plain = {i: clip_set.features(7, np.array([i]))[0] for i in range(21)}
    order = clip_set.order(7, shuffle=True)
    assert sorted(order) == list(range(21))
    features = epoch(clip_set, 7)[0]
    for place, position in enumerate(order):
        assert (features[place].numpy() == plain[position]).all()


@pytest.mark.parametrize(
    ("count", "sizes"), [(10, [5, 5]), (11, [5, 6]), (12, [5, 5, 2])]
)
def test_a_last_batch_of_one_joins_the_one_before(count, sizes):
    assert [len(part) for part in cut(np.arange(count), 5)] == sizes
    assert np.concatenate(cut(np.arange(count), 5)).tolist() == list(range(count))


def test_one_clip_alone_is_a_batch():
    assert [len(part) for part in cut(np.arange(1), 5)] == [1]


def test_clips_of_different_length_are_refused():
    store = Stored()
    store.shape = None
    with pytest.raises(DataError, match=r"differ in length.*{name: fit, seconds: …}"):
        ClipSet(store, [0], np.zeros(1))
