"""Augmentations inside augmentations."""

from pathlib import Path

import numpy as np
import pytest

from rehear import checking, names, params
from rehear.augmentations import AUGMENTATIONS
from rehear.catalogue import Catalogue
from rehear.errors import DataError, ParamsError
from rehear.params import Params, Part
from rehear.randomness import generator

X = np.random.default_rng(0).standard_normal((1, 16, 40)).astype(np.float32)
GIVEN = ("sample_rate", "study")


def build(name, parts, **more):
    spec = {"name": name, "parts": parts, **more}
    return AUGMENTATIONS.build(spec, sample_rate=8000, study=Path())


def apply(name, parts, seed=1, x=X, **more):
    return build(name, parts, **more)(x, generator(seed, "test"), "clip")


def louder(db):
    return {"name": "gain", "low_db": db, "high_db": db}


def test_parts_of_a_sequence_run_in_their_order():
    zeros = {"name": "frequency_mask", "width": 0}
    noise = {"name": "gaussian_noise", "std": 0.0, "mean": 1.0}
    np.testing.assert_allclose(
        apply("sequence", [noise, zeros, louder(20)]), 10 * (X + 1), rtol=1e-5
    )
    np.testing.assert_allclose(
        apply("sequence", [louder(20), noise]), 10 * X + 1, rtol=1e-5, atol=1e-5
    )


def test_weights_of_a_choice():
    parts = [louder(20), louder(40), louder(60)]
    node = build("choice", parts, weights=[1, 0, 3])
    found = [
        round(
            float(np.log10(node(X, generator(seed, "test"), "c")[0, 0, 0] / X[0, 0, 0]))
        )
        for seed in range(400)
    ]
    assert set(found) == {1, 3}
    assert found.count(3) / 400 == pytest.approx(0.75, abs=0.07)
    node = build("choice", parts)
    found = [
        round(
            float(np.log10(node(X, generator(seed, "test"), "c")[0, 0, 0] / X[0, 0, 0]))
        )
        for seed in range(400)
    ]
    assert all(
        found.count(n) / 400 == pytest.approx(1 / 3, abs=0.08) for n in (1, 2, 3)
    )


@pytest.mark.parametrize("name", ["sequence", "choice"])
def test_probability_of_a_node(name):
    kept = [
        np.array_equal(apply(name, [louder(20)], seed, p=0.3), X) for seed in range(300)
    ]
    assert np.mean(kept) == pytest.approx(0.7, abs=0.08)


def test_draws_of_one_part_cannot_shift_those_of_another():
    last = {"name": "gaussian_noise", "std": 1.0}
    few = {"name": "time_mask", "width": 0, "count": 1}
    many = {"name": "time_mask", "width": 0, "count": 50}
    few, many = (apply("sequence", [first, last], 3) for first in (few, many))
    assert np.array_equal(few, many)


def test_equal_parts_draw_differently():
    noise = {"name": "gaussian_noise", "std": 1.0}
    first = apply("sequence", [noise]) - X
    both = apply("sequence", [noise, noise]) - X
    assert not np.allclose(both, 2 * first, atol=1e-3)


def test_parts_get_the_clip_rate_and_study(tmp_path):
    (tmp_path / "snr.csv").write_text("clip,snr\nclip,3\n")
    spec = {
        "name": "choice",
        "parts": [{"name": "sequence", "parts": ["noise_by_table"]}],
    }
    node = AUGMENTATIONS.build(spec, sample_rate=8000, study=tmp_path)
    assert node.takes == ("waveform",)
    assert not np.array_equal(node(X[0], generator(1, "test"), "clip"), X[0])
    with pytest.raises(DataError, match="no row of the clip 'other'"):
        node(X[0], generator(1, "test"), "other")


@pytest.mark.parametrize(
    ("name", "parts", "takes", "gives"),
    [
        ("sequence", ["gain", "gaussian_noise"], "any", "same"),
        ("sequence", ["gain", "polarity"], ("waveform",), "same"),
        (
            "sequence",
            ["time_warp", "gain"],
            ("spectrogram", "image", "features"),
            "same",
        ),
        ("choice", ["time_mask", "gain"], ("spectrogram", "image", "features"), "same"),
        (
            "choice",
            [{"name": "sequence", "parts": ["polarity"]}],
            ("waveform",),
            "same",
        ),
        ("sequence", ["gain", "picture"], ("spectrogram",), "image"),
        ("sequence", ["picture", "gain"], ("spectrogram",), "image"),
        ("choice", ["picture", "gain"], ("spectrogram",), "any"),
    ],
)
def test_kinds_follow_from_the_parts(name, parts, takes, gives, monkeypatch):
    class Picture:
        takes, gives = "spectrogram", "image"

    monkeypatch.setattr(AUGMENTATIONS, "_table", dict(AUGMENTATIONS._table))
    AUGMENTATIONS.add("picture", Picture)
    node = build(name, parts)
    if "picture" in parts:
        takes = node.takes  # what is not known to be another kind may go in
        assert "spectrogram" in takes
        assert "waveform" not in takes
    assert (node.takes, node.gives) == (takes, gives)


def test_rates_follow_from_the_parts(monkeypatch):
    class Halve:
        takes, gives = "waveform", "same"

        def __init__(self, *, sample_rate=0):
            self.rate_after = sample_rate // 2

    monkeypatch.setattr(AUGMENTATIONS, "_table", dict(AUGMENTATIONS._table))
    AUGMENTATIONS.add("halve", Halve)
    node = build("sequence", ["halve", "halve", "time_shift"])
    assert node.rate_after == 2000
    assert node.parts[2].most == 200
    assert build("choice", ["halve", "halve"]).rate_after == 4000
    with pytest.raises(ParamsError, match=r"different sample rates: \[4000, 8000\]"):
        build("choice", ["halve", "gain"])


@pytest.mark.parametrize("name", ["sequence", "choice"])
def test_parts_that_no_array_suits_are_refused(name):
    with pytest.raises(
        ParamsError, match=r"no array suits all parts: 'polarity' takes"
    ):
        build(name, ["polarity", "gain", "time_mask"])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], r"augment.0: augmentation 'sequence': parts: expected a list of parts"),
        ("gain", r"augment.0: .* expected a list of parts, at least one, found 'gain'"),
        (
            ["gain", "gian"],
            r"augment.0.parts.1: unknown augmentation 'gian'. Did you m",
        ),
        (
            [{"nme": "gain"}],
            r"augment.0.parts.0: expected a name, or {name: …} with ar",
        ),
        ([3], r"augment.0.parts.0: expected a name"),
        (
            [{"name": "gain", "lowdb": 1}],
            r"parts.0: .* no argument 'lowdb'. Did you me",
        ),
        ([{"name": "gain", "p": "x"}], r"parts.0: .*'gain': p: expected a number"),
        (
            [{"name": "gain", "order": 1}],
            r"parts.0: order cannot stand inside 'sequenc",
        ),
        (
            [{"name": "gain", "splits": ["train"], "online": True}],
            r"augment.0.parts.0: online, splits cannot stand inside 'sequence'",
        ),
        (["mixup"], r"augment.0.parts.0: augmentation 'mixup' mixes the clips of a ba"),
        ([{"name": "gain", "study": "."}], r"parts.0: .*'study' is set by the program"),
        (
            ["gain", {"name": "choice", "parts": ["gain", {"name": "choice"}]}],
            r"augment.0.parts.1.parts.1: augmentation 'choice': parts: expected a list",
        ),
    ],
)
def test_faulty_parts_are_named_before_anything_is_built(parts, message):
    spec = Part(name="sequence", parts=parts)
    with pytest.raises(ParamsError, match=message) as caught:
        checking.check_parts(Params(augment=(spec,)))
    assert "\n" not in str(caught.value)
    with pytest.raises(ParamsError):
        AUGMENTATIONS.build(spec, sample_rate=8000, study=Path())


def test_a_part_that_refuses_its_arguments_is_named():
    inner = {"name": "choice", "parts": ["gain", {"name": "gain", "low_db": 50.0}]}
    message = r"^parts.1.parts.1: augmentation 'gain': low_db 50.0 is above high_db"
    with pytest.raises(ParamsError, match=message):
        build("sequence", ["gain", inner])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "weights must be a list of 2 numbers"),
        ([1, "x"], "weights must be a list of 2 numbers"),
        ([1, True], "weights must be a list of 2 numbers"),
        ([1, -1], "0 or above, and not all 0"),
        ([0, 0], "0 or above, and not all 0"),
        (1.0, "weights must be a list of 2 numbers"),
    ],
)
def test_weights_are_checked(weights, message):
    with pytest.raises(ParamsError, match=message):
        build("choice", ["gain", "polarity"], weights=weights)


def test_misspelt_parts_are_found_without_importing_any():
    nested = {"name": "choice", "parts": ["gain", "gian"]}
    spec = Part(name="sequence", parts=["gain", nested])
    message = r"params.yaml: augment.0.parts.1.parts.1: unknown augmentation 'gian'"
    with pytest.raises(ParamsError, match=message):
        names.check(Params(augment=(spec,)))


def test_params_yaml_may_nest_parts(tmp_path):
    path = tmp_path / params.FILE
    path.write_text(
        "augment:\n"
        "  - name: choice\n"
        "    weights: [1, 2]\n"
        "    parts:\n"
        "      - gain\n"
        "      - {name: sequence, p: 0.5, parts: [time_warp, {name: time_mask}]}\n"
    )
    values = params.load(path)
    checking.check_parts(values)
    node = AUGMENTATIONS.build(values.augment[0], sample_rate=1, study=tmp_path)
    assert node.takes == ("spectrogram", "image", "features")


def test_any_catalogue_can_have_parts_with_parts():
    class Outer:
        nested = ("inside",)

        def __init__(self, *, inside=()):
            self.inside = inside

    parts = Catalogue("thing", {})
    parts.add("outer", Outer)
    with pytest.raises(ParamsError, match=r"^inside.0: unknown thing 'x'"):
        parts.check({"name": "outer", "inside": ["x"]})
