"""Transforms in a row."""

import inspect

import numpy as np
import pytest

from rehear import transforms
from rehear.errors import DataError, ParamsError
from rehear.signals import FEATURES, WAVEFORM
from rehear.transforms import TRANSFORMS, Chain
from rehear.transforms.chain import Step, check_kind


def names(specs):
    return [spec if isinstance(spec, str) else spec["name"] for spec in specs]


def test_parts_keep_the_order_of_the_list():
    assert names(transforms.ordered(["mono", "fit", "log_mel"])) == [
        "mono",
        "fit",
        "log_mel",
    ]


def test_order_moves_a_part():
    specs = ["log_mel", {"name": "mono", "order": -1}, {"name": "fit", "order": -0.5}]
    assert names(transforms.ordered(specs)) == ["mono", "fit", "log_mel"]


def test_equal_orders_keep_the_order_of_the_list():
    specs = [{"name": name, "order": 3} for name in ("c", "a", "b")]
    assert names(transforms.ordered(specs)) == ["c", "a", "b"]


def test_offline_and_online_share_the_list():
    specs = ["mono", "log_mel", {"name": "standardize", "online": True}]
    assert names(transforms.offline(specs)) == ["mono", "log_mel"]
    assert names(transforms.online(specs)) == ["standardize"]


def test_an_offline_transform_of_some_splits_is_refused():
    specs = [{"name": "fit", "splits": ["train"]}]
    with pytest.raises(ParamsError, match="'fit' has splits, .* give it online: true"):
        transforms.offline(specs)


def test_offline_after_online_is_refused():
    specs = [{"name": "mono", "online": True}, "log_mel"]
    with pytest.raises(ParamsError, match="'log_mel' stands after 'mono'"):
        transforms.offline(specs)


def test_build_supplies_the_sample_rate():
    chain = transforms.build(["mono", {"name": "fit", "seconds": 2}], sample_rate=100)
    assert chain(np.ones((2, 50), np.float32)).shape == (1, 200)


def test_features_before_a_transform_of_waveforms_are_refused_at_once():
    with pytest.raises(ParamsError, match="'mono' takes a waveform .*, but 'log_mel'"):
        transforms.build(["log_mel", "mono"], sample_rate=16000)


def test_features_in_place_of_a_waveform_are_refused_by_name():
    own = Step("own", lambda x: x[None])
    mono = Step("mono", TRANSFORMS.build("mono"))
    with pytest.raises(DataError, match=r"'mono' takes a waveform.*got an array"):
        Chain([own, mono])(np.ones((1, 5), np.float32))


class Pooled:
    takes = gives = FEATURES

    def __call__(self, x):
        return x.mean(axis=-1)


@pytest.fixture
def pooled(monkeypatch):
    monkeypatch.setattr(TRANSFORMS, "_table", dict(TRANSFORMS._table))
    TRANSFORMS.add("pooled", Pooled)


@pytest.mark.parametrize(
    ("specs", "kind", "message"),
    [
        (["log_mel"], FEATURES, "'log_mel' takes a waveform .* an array.*remove it"),
        (["standardize", {"name": "fit", "order": -1}], FEATURES, "'fit' takes a wave"),
        ([{"name": "mono", "online": True}], FEATURES, "'mono' takes a waveform"),
        (["pooled"], WAVEFORM, "'pooled' takes features, but x.npy holds sound"),
        ([], FEATURES, ""),
        ([], WAVEFORM, ""),
        (["pooled"], FEATURES, ""),
        (["standardize"], FEATURES, ""),
        (["standardize", "log_mel"], WAVEFORM, ""),
    ],
)
def test_first_transform_must_be_for_what_clips_hold(pooled, specs, kind, message):
    if not message:
        check_kind(specs, kind=kind, file="x.npy")
        return
    with pytest.raises(ParamsError, match=rf"preprocess\.transforms: {message}"):
        check_kind(specs, kind=kind, file="x.npy")


def test_trace_begins_with_what_the_clip_holds(pooled):
    chain = transforms.build(["pooled"], sample_rate=16000)
    trace = chain.trace(np.ones((64, 5), np.float32), FEATURES)
    assert [(name, array.shape) for name, array in trace] == [
        ("features", (64, 5)),
        ("pooled", (64,)),
    ]


def test_trace_names_every_step():
    chain = transforms.build(["mono", "log_mel"], sample_rate=16000)
    trace = chain.trace(np.zeros((2, 16000), np.float32))
    assert [(name, array.shape) for name, array in trace] == [
        ("waveform", (2, 16000)),
        ("mono", (1, 16000)),
        ("log_mel", (1, 64, 101)),
    ]


# Packages of extras, and transforms whose arguments are those of another library.
EXTRAS = {
    "feature_extractor": "transformers",
    "opensmile": "opensmile",
    "spectrogram_image": "matplotlib",
}
OPEN_ENDED = ("feature_extractor", "torchaudio")


@pytest.mark.parametrize("name", TRANSFORMS.names())
def test_every_transform_is_documented_and_has_defaults(name):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    part = TRANSFORMS.get(name)
    assert "Shape:" in inspect.getdoc(part)
    TRANSFORMS.build(name, sample_rate=16000)
    for argument, parameter in TRANSFORMS.signature(name).items():
        if parameter.kind is parameter.VAR_KEYWORD and name in OPEN_ENDED:
            continue
        assert parameter.kind is parameter.KEYWORD_ONLY
        if argument != "sample_rate":
            assert parameter.default is not parameter.empty
            assert f"{argument}:" in inspect.getdoc(part)
