"""params.yaml: what is read, and how what does not fit is refused."""

from dataclasses import fields, is_dataclass

import pytest

from rehear import params
from rehear.errors import ParamsError
from rehear.inspection import default_of
from rehear.params import Part


def load(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return params.load(path)


def test_the_reference_study_loads(repository):
    loaded = params.load(repository / "params.yaml")
    assert loaded.runs() == [(seed, "none") for seed in loaded.seeds]


def test_an_empty_mapping_gives_the_defaults(tmp_path):
    assert load(tmp_path, "{}") == params.Params()


def test_parts_are_names_with_arguments(tmp_path):
    loaded = load(tmp_path, "model: ffnn\naugment:\n- {name: gain, p: 0.5}\n")
    assert loaded.model == Part(name="ffnn")
    assert loaded.augment == (Part(name="gain", p=0.5),)


def test_numbers_are_those_of_yaml_1_2(tmp_path):
    loaded = load(tmp_path, "train:\n  lr: 1e-4\n  clip_norm: 5\n")
    assert loaded.train.lr == 1e-4
    assert loaded.train.clip_norm == 5.0


def test_interpolation_is_resolved(tmp_path):
    text = "dataset: {name: embedded, seconds: 2.0}\npreprocess:\n  transforms:\n"
    loaded = load(tmp_path, text + "  - {name: fit, seconds: '${dataset.seconds}'}\n")
    assert loaded.preprocess.transforms[0]["seconds"] == 2.0


def test_folds_may_be_numbers(tmp_path):
    assert load(tmp_path, "folds: [1, 2]").folds == ("1", "2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:\n  epoch: 3", r"line 2: train.epoch: unknown key. Did you mean 'epoc"),
        ("trian: {}", r"line 1: trian: unknown key. Did you mean 'train'"),
        ("train:\n  lr: fast", r"line 2: train.lr: expected a number, found 'fast'"),
        ("train:\n  epochs: 2.5", r"train.epochs: expected a whole number, found 2.5"),
        (
            "train:\n  epochs: true",
            r"train.epochs: expected a whole number, found True",
        ),
        ("train:\n  deterministic: 1", r"deterministic: expected true or false, found"),
        ("train:\n  track: 3", r"train.track: expected text, found 3"),
        ("train:\n  precision: fp8", r"expected fp32 or bf16 or fp16, found 'fp8'"),
        ("seeds: 3", r"line 1: seeds: expected a list, found 3; write \[3\]"),
        ("seeds: [1, 1]", r"line 1: seeds: expected a list of different values"),
        ("seeds: []", r"seeds: expected a list of different values, at least one"),
        ("seeds: [-1]", r"seeds: expected whole numbers from 0"),
        (
            "seeds:\n- 1\n- two",
            r"line 3: seeds.1: expected a whole number, found 'two'",
        ),
        ("model: 3", r"line 1: model: expected a name, or {name: …} with arguments"),
        ("model: {width: 3}", r"line 1: model: expected a name"),
        ("train: 3", r"line 1: train: expected keys and values, found 3"),
        ("train:\n  lr: -1", r"line 2: train.lr: expected 0 to 1000, found -1.0"),
        ("train:\n  patience: 0", r"train.patience: expected 1 to"),
        ("fetch:\n  split: {dev: 0.6, test: 0.5}", r"dev and test together must stay"),
        (
            "preprocess:\n  transforms:\n  - {name: x, online: 1}",
            r"line 3.*expected tru",
        ),
        (
            "augment: [{name: x, order: late}]",
            r"line 1: augment.0.order: expected a nu",
        ),
        (
            "augment:\n- {name: x, splits: [trian]}",
            r"line 2: augment.0.splits: expected",
        ),
        (
            "augment: [{name: x, splits: train}]",
            r"expected a list of train, dev, test, ",
        ),
        (
            "augment: [{name: x, splits: []}]",
            r"expected a list of train, dev, test, fou",
        ),
        ("a: \x07", r"params.yaml: save it as UTF-8: unacceptable character"),
        ("a: [1", r"params.yaml line \d: not valid YAML"),
        ("- a\n- b", r"expected keys and values"),
        ("model: ${nothing.here}", r"interpolation failed"),
        ("model: a\nmodel: b", r"line 2: not valid YAML: found duplicate key"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(ParamsError, match=message) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_another_encoding_is_named(tmp_path):
    (tmp_path / "params.yaml").write_bytes("# Größe\n".encode("latin-1"))
    with pytest.raises(ParamsError, match="params.yaml: save it as UTF-8: 'utf-8' cod"):
        params.load(tmp_path / "params.yaml")


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(ParamsError, match="run this in the folder of a study"):
        params.load(tmp_path / "params.yaml")


def sections(cls):
    yield cls
    for field in fields(cls):
        kind = type(default_of(cls, field.name))
        if is_dataclass(kind):
            yield from sections(kind)


def test_every_parameter_is_documented():
    for section in sections(params.Params):
        for field in fields(section):
            assert f"\n        {field.name}: " in section.__doc__, field.name
