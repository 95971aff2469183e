"""Whatever a wrapped library draws, it draws from the key of the clip."""

import inspect
import pickle  # noqa: TID251 - what a library's part is made of, not data
import random  # noqa: TID251 - its state must stay as it is

import numpy as np
import pytest
import torch

from augmentations.external import (
    ARGUMENTS,
    FIXED,
    IMAGES,
    LIBRARIES,
    SPECTROGRAMS,
    WAVEFORMS,
    arrays,
)
from rehear.augmentations import AUGMENTATIONS, external
from rehear.clips import ClipSet, Step
from rehear.errors import DataError, ParamsError
from rehear.randomness import generator
from rehear.signals import IMAGE, SPECTROGRAM, WAVEFORM, taken


def build(library, transform, **settings):
    spec = {"name": library, "transform": transform, **settings}
    return AUGMENTATIONS.build(spec, sample_rate=16_000)


def example(library, transform, **settings):
    arguments = ARGUMENTS[library].get(transform, {})
    return build(library, transform, **arguments, **settings)


def namespace(library):
    wrapper = AUGMENTATIONS.get(library)
    return external.usable(*wrapper.library(wrapper), wrapper.unusable)


def change(part, x, key):
    return part(x, generator(key, "test"))


def states():
    python = random.getstate()
    numpy = np.random.get_state()[1:3]  # noqa: NPY002
    return python, numpy, torch.get_rng_state()


def assert_same(before, after):
    assert before[0] == after[0]
    assert (before[1][0] == after[1][0]).all()
    assert before[1][1] == after[1][1]
    assert torch.equal(before[2], after[2])


CLASSES = [(library, name) for library in LIBRARIES for name in namespace(library)]
every_class = pytest.mark.parametrize(("library", "transform"), CLASSES)


@every_class
def test_the_same_key_gives_the_same_bytes(library, transform):
    reused = example(library, transform)
    for x in arrays(library, transform):
        before, state = x.copy(), states()
        first = [change(reused, x, key) for key in range(6)]
        assert_same(state, states())
        assert (x == before).all()
        random.random()
        np.random.standard_normal(3)  # noqa: NPY002
        torch.rand(3)
        fresh = example(library, transform)
        for key in reversed(range(6)):
            assert change(fresh, x, key).tobytes() == first[key].tobytes()
            assert change(reused, x, key).tobytes() == first[key].tobytes()
        for changed in first:
            assert changed.shape == x.shape
            assert changed.dtype == np.float32
            assert np.isfinite(changed).all()


@every_class
def test_another_key_gives_another_clip_where_the_class_draws(library, transform):
    part = example(library, transform)
    for x in arrays(library, transform):
        different = {change(part, x, key).tobytes() for key in range(12)}
        assert (len(different) > 1) == (transform not in FIXED[library])


@every_class
def test_threads_do_not_change_a_bit(library, transform):
    x = arrays(library, transform)[-1]
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            part = example(library, transform)
            if library == "albumentations":
                import cv2

                cv2.setNumThreads(threads)
            results.append(change(part, x, 1).tobytes())
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]


@every_class
def test_a_part_is_sent_to_other_processes(library, transform):
    part = example(library, transform)
    x = arrays(library, transform)[-1]
    here = change(part, x, 1)
    there = pickle.loads(pickle.dumps(part))  # noqa: S301
    assert change(there, x, 1).tobytes() == here.tobytes()


@pytest.mark.parametrize("library", ["torchvision", "albumentations"])
def test_images_of_whole_numbers_stay_so(library):
    for transform in namespace(library):
        if (library, transform) == ("torchvision", "Normalize"):
            continue
        for x in arrays(library, transform):
            levels = (255 * x).astype(np.uint8)
            changed = change(example(library, transform), levels, 1)
            assert changed.dtype == np.uint8, transform
            assert changed.shape == levels.shape, transform


@pytest.mark.parametrize("library", ["torchvision", "albumentations"])
def test_what_moves_pixels_takes_any_values(library):
    wrapper = AUGMENTATIONS.get(library)
    assert wrapper.free <= set(namespace(library))
    for transform in wrapper.free:
        changed = change(example(library, transform), SPECTROGRAMS[1], 1)
        assert changed.min() < 0, transform
        assert changed.max() > 1, transform


@pytest.mark.parametrize("library", ["torchvision", "albumentations"])
def test_what_changes_values_refuses_those_of_no_image(library):
    wrapper = AUGMENTATIONS.get(library)
    bounded = sorted(set(namespace(library)) - wrapper.free)
    for transform in bounded:
        with pytest.raises(DataError, match="values from 0 to 1, got -9.9.*'scale'"):
            change(example(library, transform), SPECTROGRAMS[1], 1)


@pytest.mark.parametrize("library", ["torchvision", "albumentations"])
@pytest.mark.parametrize("shape", [(2, 32, 32), (4, 32, 32), (32, 32)])
def test_images_have_one_channel_or_three(library, shape):
    part = AUGMENTATIONS.build({"name": library})
    with pytest.raises(DataError, match="takes 1 or 3 channels"):
        change(part, np.zeros(shape, np.float32), 1)


def test_kinds():
    kinds = {library: taken(AUGMENTATIONS.get(library)) for library in LIBRARIES}
    assert kinds == {
        "torchaudio": ("any",),
        "torchvision": (IMAGE, SPECTROGRAM),
        "audiomentations": (WAVEFORM,),
        "torch_audiomentations": (WAVEFORM,),
        "albumentations": (IMAGE, SPECTROGRAM),
    }


@pytest.mark.parametrize("library", LIBRARIES)
class TestEveryLibrary:
    def test_it_works_with_its_defaults(self, library):
        part = AUGMENTATIONS.build({"name": library}, sample_rate=16_000)
        x = WAVEFORMS[0] if WAVEFORM in taken(part) else IMAGES[1]
        assert any((change(part, x, key) != x).any() for key in range(5))

    def test_arguments_are_documented(self, library):
        for key in AUGMENTATIONS.signature(library):
            assert f"{key}:" in inspect.getdoc(AUGMENTATIONS.get(library))

    def test_every_public_class_is_usable_or_refused_with_a_reason(self, library):
        wrapper = AUGMENTATIONS.get(library)
        for transform, reason in wrapper.unusable.items():
            with pytest.raises(ParamsError) as raised:
                build(library, transform)
            assert reason in str(raised.value)
        space, _ = wrapper.library(wrapper)
        assert all(hasattr(space, transform) for transform in wrapper.unusable)

    def test_probability(self, library):
        transform = sorted(set(namespace(library)) - FIXED[library])[0]
        x = arrays(library, transform)[-1]
        never = example(library, transform, p=0.0)
        assert all(change(never, x, key) is x for key in range(20))
        part = example(library, transform, p=0.5)
        kept = sum(change(part, x, key) is x for key in range(200))
        assert 70 < kept < 130
        with pytest.raises(ParamsError, match="p must be from 0 to 1, not 1.5"):
            example(library, transform, p=1.5)

    @pytest.mark.parametrize(
        "name", ["__class__", "_Fake", "functional", "np", "os", "", "warnings"]
    )
    def test_nothing_but_public_classes_can_be_named(self, library, name):
        with pytest.raises(ParamsError, match="unknown transform"):
            build(library, name)

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
    def test_workers_do_not_change_a_bit(self, library):
        transform = sorted(set(namespace(library)) - FIXED[library])[0]
        x = arrays(library, transform)[-1]
        clips = ClipSet(
            Stored(x),
            range(6),
            np.zeros(6, np.int64),
            steps=[Step(example(library, transform), library, draws=True)],
        )
        here, there = (
            torch.cat([b.features for b in clips.batches(1, 2, workers=workers)])
            for workers in (0, 2)
        )
        assert torch.equal(here, there)
        assert not torch.equal(here[0], here[1])


class Stored:
    """The same features for several clips."""

    def __init__(self, x, count=6):
        self.values = np.stack([x] * count)
        self.ids = [f"clip-{i}" for i in range(count)]
        self.shape = x.shape

    def size(self, rows):
        return self.values[rows].size

    def gather(self, rows):
        return self.values[rows]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (("torchvision", "RandAugmnt"), "Did you mean 'RandAugment'"),
        (("albumentations", "Afine"), "Did you mean 'Affine'"),
        (("audiomentations", "PitchShifts"), "Did you mean 'PitchShift'"),
        (("torch_audiomentations", "gain"), "Did you mean 'Gain'"),
        (("torchaudio", "TimeMask"), "Did you mean 'TimeMasking'"),
        (("torchvision", "Resize"), "Resize needs the argument 'size'"),
    ],
)
def test_what_is_misspelt_or_missing(spec, message):
    with pytest.raises(ParamsError, match=message):
        build(*spec)


@pytest.mark.parametrize(
    ("library", "transform", "settings", "message"),
    [
        ("torchvision", "RandAugment", {"num_op": 1}, "Did you mean 'num_ops'"),
        (
            "torchvision",
            "RandomRotation",
            {"degrees": 5, "interpolation": "bilinea"},
            "interpolation: unknown 'bilinea'. Did you mean 'bilinear'",
        ),
        ("torchvision", "RandomRotation", {"degrees": -5}, "RandomRotation: "),
        ("torchvision", "AutoAugment", {"policy": "x"}, "Known: imagenet, cifar10"),
        ("albumentations", "Affine", {"rotat": 1}, "Did you mean 'rotate'"),
        ("albumentations", "Affine", {"rotate": "much"}, "Affine: "),
        ("albumentations", "Affine", {"border_mode": "wrp"}, "mean 'wrap'"),
        ("albumentations", "Affine", {"strict": True}, "no argument 'strict'"),
        ("audiomentations", "Gain", {"min_gain": 1}, "Did you mean 'min_gain_db'"),
        ("audiomentations", "Gain", {"min_gain_db": 20.0}, "Gain: "),
        ("torch_audiomentations", "Gain", {"mode": "each"}, "does not support mode"),
        ("torch_audiomentations", "Gain", {"output_type": "dict"}, "no argument"),
        ("torchaudio", "Speed", {"orig_freq": 1}, "no argument 'orig_freq'"),
        ("torchaudio", "Fade", {"fade_in": 1}, "Did you mean 'fade_in_len'"),
    ],
)
def test_arguments_that_a_class_refuses(library, transform, settings, message):
    with pytest.raises(ParamsError, match=message):
        build(library, transform, **settings)


@pytest.mark.parametrize(
    ("library", "transform", "settings"),
    [
        ("torchvision", "Resize", {"size": 16}),
        ("torchvision", "CenterCrop", {"size": 16}),
        ("albumentations", "Resize", {"height": 16, "width": 16}),
        ("albumentations", "RandomCrop", {"height": 16, "width": 20}),
    ],
)
def test_another_shape_is_refused(library, transform, settings):
    with pytest.raises(DataError, match=r"it gives \(3, 16, .*must keep its shape"):
        change(build(library, transform, **settings), IMAGES[1], 1)


def test_other_lengths_are_cut_or_filled_up():
    x = WAVEFORMS[1]
    slow = change(build("torchaudio", "Speed", factor=0.8), x, 1)
    fast = change(build("torchaudio", "Speed", factor=1.25), x, 1)
    assert (fast[:, 12_800:] == 0).all()
    assert (fast[:, 12_700:12_800] != 0).any()
    assert (slow[:, -100:] != 0).any()


def test_numbers_are_those_expected_of_the_classes():
    wave, image = WAVEFORMS[1], IMAGES[1]
    luma = np.tensordot([0.299, 0.587, 0.114], image, 1)[None].repeat(3, 0)
    emphasised = np.diff(wave, axis=1) + np.float32(0.5) * wave[:, :-1]
    expected = {
        ("torchvision", "RandomHorizontalFlip"): (image, image[:, :, ::-1]),
        ("torchvision", "RandomVerticalFlip"): (image, image[:, ::-1]),
        ("torchvision", "RandomGrayscale"): (image, luma),
        ("albumentations", "HorizontalFlip"): (image, image[:, :, ::-1]),
        ("albumentations", "VerticalFlip"): (image, image[:, ::-1]),
        ("albumentations", "ToGray"): (image, luma),
        ("audiomentations", "PolarityInversion"): (wave, -wave),
        ("torch_audiomentations", "TimeInversion"): (wave, wave[:, ::-1]),
    }
    for (library, transform), (x, y) in expected.items():
        changed = change(example(library, transform), x, 1)
        np.testing.assert_allclose(changed, y, atol=1e-3, err_msg=transform)
    part = build("torchaudio", "Preemphasis", coeff=0.5)
    np.testing.assert_allclose(change(part, wave, 1)[:, 1:], emphasised, atol=1e-6)


def test_floats_go_through_whole_numbers_and_back():
    x, part = IMAGES[0], build("torchvision", "JPEG", quality=100)
    assert np.abs(change(part, x, 1) - x).max() < 0.02
    levels = np.rint(255 * x).astype(np.uint8)
    np.testing.assert_allclose(
        change(part, x, 1), change(part, levels, 1) / np.float32(255)
    )


def test_what_a_library_raises_is_told_with_its_place():
    with pytest.raises(DataError, match="'albumentations': ISONoise cannot change an"):
        change(build("albumentations", "ISONoise"), IMAGES[0], 1)
    with pytest.raises(DataError, match="it makes float32 of uint8|Normalize cannot"):
        part = build("torchvision", "Normalize", mean=[0.5], std=[1])
        change(part, np.zeros((1, 8, 8), np.uint8), 1)


def test_values_that_are_not_finite_are_refused(monkeypatch):
    part = build("torchaudio", "Vol", gain=1.0)
    monkeypatch.setattr(part, "apply", lambda x, generator: x * np.float32(np.nan))
    with pytest.raises(DataError, match="values that are not finite"):
        change(part, WAVEFORMS[0], 1)


@pytest.mark.parametrize(
    ("library", "extra"),
    [
        ("torchvision", "torchvision"),
        ("audiomentations", "audiomentations"),
        ("torch_audiomentations", "torch-audiomentations"),
        ("albumentations", "albumentations"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, library, extra):
    def lacking(self):
        error = ModuleNotFoundError(name=library)
        raise external.missing(error, library, extra)

    monkeypatch.setattr(AUGMENTATIONS.get(library), "library", lacking)
    with pytest.raises(ParamsError, match=rf"pip install 'rehear\[{extra}\]'"):
        AUGMENTATIONS.build({"name": library}, sample_rate=16_000)


def test_another_missing_module_is_not_taken_for_the_library():
    error = ModuleNotFoundError(name="something")
    with pytest.raises(ModuleNotFoundError):
        raise external.missing(error, "torchvision", "torchvision")
