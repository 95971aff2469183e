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

    def size(self, rows):
        return len(rows) * int(np.prod(self.shape))


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


class Ragged:
    """Packed features in memory, clip i has 3 + i % 4 frames."""

    shape = None

    def __init__(self, count=21, dtype=np.float32):
        self.arrays = [np.full((1, 2, 3 + i % 4), i, dtype) for i in range(count)]
        self.ids = [f"clip-{i}" for i in range(count)]

    @property
    def differs_in_length_only(self):
        kinds = {(x.shape[:-1], x.ndim > 1) for x in self.arrays}
        return len(kinds) == 1 and next(iter(kinds))[1]

    def size(self, rows):
        return sum(self.arrays[row].size for row in rows)

    def __getitem__(self, row):
        return self.arrays[row]


def crop(x, generator):
    first = generator.integers(0, x.shape[-1] - 2)
    return x[..., first : first + 3]


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_clips_of_different_length_are_refused(monkeypatch, share):
    monkeypatch.setattr(clips, "MEMORY_SHARE", share)
    with pytest.raises(DataError, match=r"differ in length.*{name: fit, .*random_crop"):
        ClipSet(Ragged(), range(21), np.zeros(21))


@pytest.mark.parametrize("share", [0.0, 0.25])
@pytest.mark.parametrize("step", [Step(crop, "crop", draws=True), None])
def test_steps_may_make_one_length(monkeypatch, share, step):
    monkeypatch.setattr(clips, "MEMORY_SHARE", share)
    steps = [step or Step(lambda x: x[..., :3], "cut")]
    clip_set = ClipSet(Ragged(), range(21), np.zeros(21), steps=steps)
    features = clip_set.features(0, np.arange(21))
    assert features.shape == (21, 1, 2, 3)
    assert (features[:, 0, 0, 0] == np.arange(21)).all()
    assert clip_set.groups(10)[0].tolist() == list(range(10))


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_groups_have_clips_of_one_length_and_miss_none(monkeypatch, share):
    monkeypatch.setattr(clips, "MEMORY_SHARE", share)
    clip_set = ClipSet(Ragged(), range(1, 21), np.zeros(20), lengths="grouped")
    groups = clip_set.groups(3)
    assert sorted(np.concatenate(groups)) == list(range(20))
    assert max(map(len, groups)) == 3
    for group in groups:
        assert (clip_set.features(0, group)[:, 0, 0, 0] == group + 1).all()
    with pytest.raises(DataError, match="differ in length"):
        clip_set.features(0, np.arange(2))


@pytest.mark.parametrize("shape", [(1, 3, 9), (9,), (2, 9)])
def test_what_differs_in_more_than_length_is_refused(shape):
    store = Ragged()
    store.arrays[4] = np.zeros(shape, np.float32)
    with pytest.raises(DataError, match="differ in length"):
        ClipSet(store, range(21), np.zeros(21), lengths="grouped")
    store.arrays = [np.zeros(1 + i, np.float32) for i in range(21)]
    with pytest.raises(DataError, match="differ in length"):
        ClipSet(store, range(21), np.zeros(21), lengths="grouped")


@pytest.mark.parametrize("kind", [np.float16, np.uint8])
@pytest.mark.parametrize("share", [0.0, 0.25])
@pytest.mark.parametrize("ragged", [False, True])
def test_a_batch_is_float32_whatever_is_stored(monkeypatch, share, kind, ragged):
    monkeypatch.setattr(clips, "MEMORY_SHARE", share)
    store = Ragged(dtype=kind) if ragged else Stored()
    if not ragged:
        store.values = np.arange(21 * 20).reshape(21, 1, 4, 5).astype(kind)
    seen = set()

    def look(x, generator):
        seen.add(x.dtype)
        return x[..., :3]

    clip_set = ClipSet(
        store, range(21), np.zeros(21), steps=[Step(look, "look", draws=True)]
    )
    features = next(clip_set.batches(0, 4)).features
    assert features.dtype == torch.float32
    assert features[2].numpy().tolist() == store[2][..., :3].tolist()
    # Images come as they are; half precision is for the disk.
    assert seen == {np.dtype(np.uint8 if kind is np.uint8 else np.float32)}


class Doubled:
    """A transform with a form for batches of tensors."""

    def __call__(self, x):
        return 2 * x

    def on_device(self):
        return Twice()


class Twice(torch.nn.Module):
    def forward(self, x):
        return 2 * x


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([Step(add_noise, "noise", draws=True), Step(Doubled(), "doubled")], 1),
        ([Step(add_noise, "noise", draws=True), *[Step(Doubled(), "d")] * 2], 2),
        ([*STEPS, Step(Doubled(), "d"), Step(double, "double")], 0),
        ([Step(Doubled(), "d"), Step(add_noise, "noise", draws=True)], 0),
        ([Step(Doubled(), "d")], 0),  # done once, in memory
    ],
)
def test_last_steps_are_left_to_the_device(steps, left):
    here, there = make(steps), make(steps)
    here.leave_to(torch.device("cpu"))
    there.leave_to(torch.device("meta"))
    assert here.front is None
    assert len(here.steps) - len(there.steps) == left
    front = there.front or torch.nn.Identity()
    positions = np.arange(4)
    expected = torch.from_numpy(here.features(1, positions))
    assert torch.equal(front(torch.from_numpy(there.features(1, positions))), expected)


def test_mixes_need_all_steps_done():
    steps = [Step(add_noise, "noise", draws=True), Step(Doubled(), "doubled")]
    clip_set = make(steps, mixes=[mix])
    clip_set.leave_to(torch.device("meta"))
    assert clip_set.front is None


@pytest.mark.parametrize("share", [0.0, 0.25])
@pytest.mark.parametrize("workers", [0, 2])
def test_shorter_clips_are_padded_for_models_that_take_lengths(
    monkeypatch, share, workers
):
    monkeypatch.setattr(clips, "MEMORY_SHARE", share)
    store = Ragged()
    clip_set = ClipSet(store, range(21), np.zeros(21), lengths="padded")
    seen = []
    for batch in clip_set.batches(0, 4, shuffle=True, workers=workers):
        assert batch.features.shape[-1] == batch.lengths.max()
        for x, length in zip(batch.features.numpy(), batch.lengths, strict=True):
            clip = int(x[0, 0, 0])
            seen.append(clip)
            np.testing.assert_array_equal(x[..., :length], store[clip])
            assert not x[..., length:].any()
    assert sorted(seen) == list(range(21))
    half = next(iter(clip_set.batches(0, 4))).take(slice(2), size=2)
    assert len(half.lengths) == len(half.features) == 2


def test_padded_groups_are_of_about_the_same_length():
    clip_set = ClipSet(Ragged(), range(21), np.zeros(21), lengths="padded")
    groups = clip_set.groups(4)
    assert sorted(np.concatenate(groups)) == list(range(21))
    spans = [np.ptp([Ragged()[i].shape[-1] for i in group]) for group in groups]
    assert max(spans) < np.ptp([x.shape[-1] for x in Ragged().arrays]) / 2


def test_clips_of_one_length_are_not_padded():
    clip_set = ClipSet(Stored(), range(3), np.zeros(3), lengths="padded")
    assert next(iter(clip_set.batches(0, 3))).lengths is None


def test_mixes_of_different_lengths_are_refused():
    with pytest.raises(DataError, match=r"cannot be mixed: .*{name: fit"):
        ClipSet(
            Ragged(), range(21), np.zeros(21), lengths="padded", mixes=[lambda *_: _]
        )
