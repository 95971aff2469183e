"""What holds for every augmentation: draws follow the key, and nothing else.

A new part joins by its name; ``CASES`` says what it needs.
"""

import inspect
import random  # noqa: TID251 - to see that nothing uses it

import numpy as np
import pytest
import torch

from rehear import audio, clips, randomness
from rehear.augmentations import AUGMENTATIONS
from rehear.clips import ClipSet, Step

RATE = 8000
DRAWS = np.random.default_rng(0)
INPUTS = {
    "waveform": 0.1 * DRAWS.standard_normal((20, 2, 400)).astype(np.float32),
    "spectrogram": DRAWS.standard_normal((20, 2, 16, 40)).astype(np.float32),
    "image": DRAWS.uniform(0, 1, (20, 3, 16, 40)).astype(np.float32),
}
IDS = [f"clip-{number}" for number in range(20)]
TARGETS = np.eye(4, dtype=np.float32)[np.arange(20) % 4]
INSIDE = [
    {"name": "time_mask", "width": 9},
    {"name": "choice", "parts": ["gain", {"name": "gaussian_noise", "std": 0.1}]},
]
# What a part gets, and the arguments that it needs for a change that shows.
CASES = {
    "albumentations": ("image", {}),
    "audiomentations": ("waveform", {}),
    "choice": ("spectrogram", {"parts": ["gain", *INSIDE]}),
    "cutmix": ("spectrogram", {}),
    "frequency_mask": ("spectrogram", {}),
    "gain": ("waveform", {}),
    "gaussian_noise": ("waveform", {}),
    "impulse_response": ("waveform", {"folder": "noise"}),
    "mixup": ("spectrogram", {"alpha": 1.0}),
    "noise_at_snr": ("waveform", {"folder": "noise"}),
    "noise_by_table": ("waveform", {"folder": "noise"}),
    "polarity": ("waveform", {}),
    "random_crop": ("waveform", {"size": 300}),
    "sequence": ("spectrogram", {"parts": ["time_warp", *INSIDE]}),
    "spec_augment": ("spectrogram", {}),
    "time_mask": ("spectrogram", {}),
    "time_shift": ("waveform", {"seconds": 0.02}),
    "time_warp": ("spectrogram", {}),
    "torch_audiomentations": ("waveform", {}),
    "torchaudio": ("spectrogram", {}),
    "torchvision": ("image", {}),
}
WITHOUT_P = {"random_crop"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "noise").mkdir()
    draws = np.random.default_rng(5)
    for number, length in enumerate((90, 700, 1500)):
        noise = 0.1 * draws.standard_normal((1, length)).astype(np.float32)
        audio.write(folder / "noise" / f"{number}.wav", noise, RATE)
    rows = [f"{clip},{number}" for number, clip in enumerate(IDS)]
    (folder / "snr.csv").write_text("\n".join(["clip,snr", *rows, ""]))
    return folder


@pytest.fixture(params=AUGMENTATIONS.names())
def name(request):
    assert request.param in CASES, f"add '{request.param}' to CASES in this module"
    return request.param


@pytest.fixture
def make(name, study):
    """Return a function that builds the part anew."""
    spec = {"name": name, **CASES[name][1]}
    return lambda **more: AUGMENTATIONS.build(
        {**spec, **more}, sample_rate=RATE, study=study
    )


@pytest.fixture
def x(name):
    return INPUTS[CASES[name][0]]


def apply(part, x, seed, clip=0):
    """Return what a part makes of a clip, or of a batch and its targets."""
    draw = randomness.generator(seed, "test")
    if getattr(part, "batch", False):
        return part(x[clip : clip + 6], TARGETS[clip : clip + 6], draw)
    named = (IDS[clip],) if getattr(part, "by_clip", False) else ()
    return (part(x[clip], draw, *named),)


def equal(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def test_no_case_is_left_of_a_part_that_has_gone():
    assert set(CASES) <= set(AUGMENTATIONS.names())


def test_same_key_same_bytes_and_other_keys_others(make, x):
    part = make()
    first = apply(part, x, 1)
    assert equal(first, apply(part, x, 1))
    assert not all(equal(first, apply(part, x, seed)) for seed in range(2, 8))


def test_what_a_part_did_before_does_not_matter(make, x):
    used = make()
    for clip in (3, 1, 2):
        apply(used, x, 9, clip)
    assert equal(apply(used, x, 1), apply(make(), x, 1))


def states():
    torch_state = torch.get_rng_state().numpy().tobytes()
    return random.getstate(), repr(np.random.get_state()), torch_state  # noqa: NPY002


def test_global_generators_are_neither_used_nor_changed(make, x):
    found = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        before = states()
        found.append(apply(make(), x, 1))
        assert states() == before
    assert equal(*found)


def test_type_and_shape_are_kept_and_the_input_is_not_changed(make, x, name):
    before, targets = x.copy(), TARGETS.copy()
    for seed in range(5):
        changed = apply(make(), x, seed)
        like = apply(lambda *given: given[0], x, seed)[0]
        if name == "random_crop":
            like = like[..., :300]
        elif len(changed) == 2:
            like = x[:6]
        assert changed[0].dtype == np.float32
        assert changed[0].shape == like.shape
        assert all(np.isfinite(array).all() for array in changed)
    assert np.array_equal(x, before)
    assert np.array_equal(TARGETS, targets)


def test_read_only_arrays_are_taken(make, x):
    frozen = x.copy()
    frozen.flags.writeable = False
    assert equal(apply(make(), frozen, 1), apply(make(), x, 1))


def test_probability_zero_changes_nothing(make, x, name):
    if name in WITHOUT_P:
        assert "p" not in AUGMENTATIONS.signature(name)
        return
    part = make(p=0.0)
    whole = (x[:6], TARGETS[:6]) if getattr(part, "batch", False) else (x[0],)
    assert all(equal(apply(part, x, seed), whole) for seed in range(5))


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_probability_is_from_0_to_1(make, name, p):
    if name not in WITHOUT_P:
        with pytest.raises(Exception, match=f"p must be from 0 to 1, not {p}"):
            make(p=p)


def test_arguments_are_documented(name):
    for key in AUGMENTATIONS.signature(name):
        assert f"{key}:" in inspect.getdoc(AUGMENTATIONS.get(name))


class Stored:
    """Packed features in memory."""

    def __init__(self, values):
        self.values, self.ids, self.shape = values, IDS, values.shape[1:]

    def size(self, rows):
        return self.values[rows].size

    def gather(self, rows):
        return self.values[rows]


def clip_set(part, x, name):
    batch = getattr(part, "batch", False)
    by_clip = getattr(part, "by_clip", False)
    step = Step(part, name, draws=True, by_clip=by_clip)
    return ClipSet(
        Stored(x),
        range(len(x)),
        np.arange(len(x)),
        steps=[] if batch else [step],
        mixes=[part] if batch else [],
        spread=lambda rows: TARGETS[rows],
        seed=4,
    )


def batches(clip_set, *, size=4, **options):
    found = clip_set.batches(3, size, shuffle=True, **options)
    return [(batch.features.numpy(), batch.targets.numpy()) for batch in found]


def same(some, others):
    return len(some) == len(others) and all(map(equal, some, others))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_batches_are_the_same_with_workers_after_a_stop_and_from_disk(
    make, x, name, monkeypatch
):
    whole = batches(clip_set(make(), x, name))
    assert same(whole, batches(clip_set(make(), x, name), workers=2))
    assert same(whole[2:], batches(clip_set(make(), x, name), first=2))
    monkeypatch.setattr(clips, "MEMORY_SHARE", 0.0)
    assert same(whole, batches(clip_set(make(), x, name)))


def test_a_clip_does_not_depend_on_its_batch(make, x, name):
    part = make()
    if getattr(part, "batch", False):
        return
    by_size = []
    for size in (4, 7):
        found = batches(clip_set(part, x, name), size=size)
        by_size.append(np.concatenate([features for features, _ in found]))
    assert np.array_equal(*by_size)
