"""Weights to start from: found by name or path, checked, and fitted strictly."""

import json
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rehear import checkpoint, pretrained
from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS
from rehear.models.sources import Source, on_hub
from rehear.params import Params, Part, Preprocess, Pretrained
from rehear.signals import Signal
from rehear.transforms import TRANSFORMS

SOURCE = Source(
    name="lab/net-16k",
    url="https://example.org/net.pth",
    licence="CC0",
    citation="somebody",
    arguments={"width": 4},
    rate=16000,
    front_end={"name": "log_mel", "n_mels": 64, "hop_length": 160},
)


class Net(nn.Module):
    """A model with published weights."""

    head_modules = ("head",)
    blocks = (("norm", "body"),)

    def __init__(self, *, width: int = 4, num_outputs: int = 3) -> None:
        super().__init__()
        self.body = nn.Linear(2, width)
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, num_outputs)

    @classmethod
    def sources(cls):
        return {SOURCE.name: SOURCE}

    def adapted(self, tensors):
        return {
            key.replace("trunk.", ""): value
            for key, value in tensors.items()
            if not key.startswith("mel.")
        }


@pytest.fixture(autouse=True)
def net(monkeypatch):
    monkeypatch.setattr(MODELS, "_table", dict(MODELS._table))
    MODELS.add("net", Net)


def published(**changes):
    """What the authors' own model would have saved."""
    theirs = Net(num_outputs=9)
    tensors = {f"trunk.{k}": v for k, v in theirs.state_dict().items()}
    tensors["mel.window"] = torch.ones(5)
    tensors.update(changes)
    return {k: v for k, v in tensors.items() if v is not None}


def params(**changes):
    log_mel = Part(name="log_mel", hop_length=160)
    values = Params(
        model=Part(name="net", width=4),
        pretrained=Pretrained(weights=SOURCE.name),
        preprocess=Preprocess(transforms=(Part(name="mono"), log_mel)),
    )
    return replace(values, **changes)


def test_published_weights_fit_all_but_the_head():
    model = Net()
    head, tensors = model.head.weight.clone(), published()
    pretrained.fit(model, tensors, name="x")
    assert torch.equal(model.body.weight, tensors["trunk.body.weight"])
    assert torch.equal(model.norm.running_var, tensors["trunk.norm.running_var"])
    assert torch.equal(model.head.weight, head)


def test_the_head_comes_too_where_it_is_asked_for():
    tensors = published()
    model = Net(num_outputs=9)
    pretrained.fit(model, tensors, name="x", keep_head=True)
    assert torch.equal(model.head.weight, tensors["trunk.head.weight"])
    with pytest.raises(
        ModelError,
        match=r"other shapes are head.bias \(9,\), not \(3,\), head.weight .*"
        r"or set pretrained.keep_head: false",
    ):
        pretrained.fit(Net(), tensors, name="x", keep_head=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trunk.body.bias": None}, "'x' does not fit the model: it lacks body.bias;"),
        ({"trunk.more": torch.ones(1)}, "it has besides more;"),
        (
            {"trunk.body.weight": torch.ones(5, 2)},
            r"of other shapes are body.weight \(5, 2\), not \(4, 2\);",
        ),
        (
            {f"trunk.more{i}": torch.ones(1) for i in range(9)},
            "more0, more1, more2, more3 and 5 more;",
        ),
    ],
)
def test_nothing_is_left_over_or_missing_in_silence(changes, message):
    model = Net()
    before = model.body.weight.clone()
    with pytest.raises(ModelError, match=message):
        pretrained.fit(model, published(**changes), name="x")
    assert torch.equal(model.body.weight, before)


def test_counters_that_older_checkpoints_lack_are_no_difference():
    tensors = published(**{"trunk.norm.num_batches_tracked": None})
    pretrained.fit(Net(), tensors, name="x")


def test_weights_of_our_own_are_not_renamed():
    own = Net(num_outputs=9).state_dict()
    model = Net()
    pretrained.fit(model, own, name="x", ours=True)
    assert torch.equal(model.body.weight, own["body.weight"])


def test_what_published_weights_do_not_hold_may_stay_fresh():
    class Fronted(Net):
        fresh = ("front",)

        def __init__(self):
            super().__init__()
            self.front = nn.Linear(2, 2)

    pretrained.fit(Fronted(), published(), name="x")
    with pytest.raises(ModelError, match=r"it lacks front.bias, front.weight"):
        pretrained.fit(Fronted(), Net().state_dict(), name="x", ours=True)


def test_names_are_found_whatever_the_model(tmp_path):
    assert pretrained.find(SOURCE.name, tmp_path, model="net") == SOURCE
    assert pretrained.find(SOURCE.name, tmp_path, model="ffnn") == SOURCE
    (tmp_path / "mine").mkdir()
    assert pretrained.find("mine", tmp_path, model="net") == tmp_path / "mine"


def test_unknown_names_get_a_suggestion(tmp_path):
    with pytest.raises(
        ParamsError,
        match=r"pretrained.weights: no published weights are called 'lab/net-16'.* Did "
        r"you mean 'lab/net-16k'\? Known for 'net': lab/net-16k",
    ):
        pretrained.find("lab/net-16", tmp_path, model="net")


def test_weights_that_fit_are_accepted(tmp_path):
    pretrained.check(params(), tmp_path, arriving=Signal("spectrogram", 16000))
    nothing = params(pretrained=Pretrained(), model=Part(name="ffnn"))
    pretrained.check(nothing, tmp_path, arriving=Signal())


@pytest.mark.parametrize(
    ("changes", "rate", "message"),
    [
        ({"model": Part(name="ffnn")}, 16000, "are not for the model 'ffnn'"),
        (
            {"model": Part(name="net", width=5)},
            16000,
            "need model.width: 4, but it is 5",
        ),
        ({}, 8000, "trained on 16000 Hz, but sound comes with 8000 Hz; set prepro"),
        (
            {"preprocess": Preprocess()},
            16000,
            "need the transform 'log_mel' in .* with n_mels: 64, hop_length: 160",
        ),
        (
            {
                "preprocess": Preprocess(
                    transforms=(Part(name="log_mel", hop_length=320),)
                )
            },
            16000,
            "with log_mel.hop_length: 160, but preprocess.transforms have 320",
        ),
    ],
)
def test_weights_for_something_else_are_refused(changes, rate, message, tmp_path):
    with pytest.raises(ParamsError, match=message):
        pretrained.check(
            params(**changes), tmp_path, arriving=Signal("spectrogram", rate)
        )


@pytest.mark.parametrize("wrap", [None, "model", "state_dict"])
@pytest.mark.parametrize("legacy", [False, True])
def test_foreign_files_are_read_by_whatever_wraps_them(wrap, legacy, tmp_path):
    tensors = OrderedDict(published())
    saved = tensors
    if wrap:
        # PANNs checkpoints hold scores, too, as numbers of numpy.
        saved = {
            "epoch": 3,
            "score": np.float64(0.4),
            "at": np.arange(2),
            wrap: tensors,
        }
    torch.save(saved, tmp_path / "x", _use_new_zipfile_serialization=not legacy)
    found, config = pretrained.read(tmp_path / "x")
    assert config == {}
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)
    if wrap:
        assert (
            checkpoint.read_foreign(tmp_path / "x", entry=wrap).keys() == found.keys()
        )


class Code:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_code_in_a_file_never_runs(tmp_path, capsys):
    torch.save({"model": published(), "more": Code()}, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=r"holds more than tensors, .* state_dict"):
        pretrained.read(tmp_path / "x.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x.pth cannot be read \(it begins b''"),
        (b"nonsense", r"cannot be read \(it begins b'nonsense'"),
        (b'{"error": "gone"}', r"cannot be read \(it begins .*\{.*, as neither"),
        (b"PK\x03\x04 no archive", "cannot be read .*damaged"),
        (b"\x80\x02nonsense", "cannot be read|more than tensors"),
        (b"\x50" + bytes(7) + b"{", "cannot be read .*damaged"),
    ],
)
def test_damaged_files_are_refused(content, message, tmp_path):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        pretrained.read(tmp_path / "x.pth")


def test_files_without_tensors_say_what_they_hold(tmp_path):
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=r"no tensors by name, but epoch, lr; save"):
        pretrained.read(tmp_path / "x.pth")


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_folders_of_the_hub_are_read(file, tmp_path):
    tensors = published()
    write = save_file if file.endswith("safetensors") else torch.save
    write(tensors, tmp_path / file)
    found, _ = pretrained.read(tmp_path)
    assert torch.equal(found["trunk.body.weight"], tensors["trunk.body.weight"])
    with pytest.raises(ModelError, match=r"holds no weights; expected weights.safe"):
        (tmp_path / "empty").mkdir()
        pretrained.read(tmp_path / "empty")


def test_bfloat16_is_kept_as_float32(tmp_path):
    checkpoint.write_tensors(tmp_path / "x", {"a": torch.ones(2, dtype=torch.bfloat16)})
    assert checkpoint.read_tensors(tmp_path / "x")["a"].dtype == torch.float32


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e8m0fnu"])
@pytest.mark.parametrize("write", [save_file, torch.save])
def test_kinds_of_numbers_that_cannot_be_kept_are_refused(kind, write, tmp_path):
    tensors = {"fine": torch.ones(2), "odd": torch.zeros(2).to(getattr(torch, kind))}
    write(tensors, tmp_path / "x")
    with pytest.raises(ModelError, match=rf"x: odd is torch.{kind}, .* of float32"):
        pretrained.read(tmp_path / "x")


def test_tensors_that_are_not_plain_are_refused(tmp_path):
    torch.save({"odd": torch.eye(3).to_sparse()}, tmp_path / "x")
    with pytest.raises(ModelError, match=r"odd is torch.sparse_coo, which is not"):
        pretrained.read(tmp_path / "x")
    torch.save({"odd": torch.ones(3, device="meta")}, tmp_path / "x")
    with pytest.raises(ModelError, match=r"odd is torch.meta, which is not taken"):
        pretrained.read(tmp_path / "x")


def test_foreign_bfloat16_is_read(tmp_path):
    tensors = {"a": torch.tensor([1.5, -2.0], dtype=torch.bfloat16)}
    save_file(tensors, tmp_path / "x")
    found, _ = pretrained.read(tmp_path / "x")
    assert torch.equal(found["a"], tensors["a"])


def test_what_was_read_needs_its_file_no_more(tmp_path):
    save_file({"a": torch.ones(9)}, tmp_path / "x")
    found, _ = pretrained.read(tmp_path / "x")
    with (tmp_path / "x").open("r+b") as stream:
        stream.truncate(0)
    assert torch.equal(found["a"], torch.ones(9))


LOG_MEL = {"name": "log_mel", "hop_length": 160, "f_max": 8000}


def own(folder, **changes):
    """A model of ours, as the stage ``train`` leaves it."""
    transforms = [{"name": "mono"}, {"name": "fit", "seconds": 1.0}, LOG_MEL]
    config = {
        "model": {"name": "net", "width": 4},
        "task": {"name": "classification", "labels": ["a", "b", "c"]},
        "preprocess": {"sample_rate": 16000, "transforms": transforms},
        "sample_rate": 16000,
    }
    checkpoint.save(folder, Net().state_dict(), {**config, **changes})
    return folder


def ask(*transforms, **changes):
    """A study that starts from a model of ours in the folder ``own``."""
    specs = ({"name": t} if isinstance(t, str) else t for t in transforms)
    front_end = Preprocess(transforms=tuple(map(Part, specs)))
    weights = Pretrained(weights="own", **changes)
    return params(pretrained=weights, preprocess=front_end)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"own holds no model \(config.json\); copy the whole folder"),
        ('{"a"', r"config.json is damaged \(.*delimiter.*\); copy the whole folder"),
        ("{}", r"damaged \(it names no model\); copy .* weights.safetensors in it if"),
        ("[]", r"damaged \(it is no mapping\)"),
        ('{"model": "net", "task": "x"}', r"damaged \(it names no task with labels\)"),
        (
            '{"model": "net", "task": {"labels": []}, "preprocess": []}',
            r"damaged \(it lists no transforms",
        ),
    ],
)
def test_a_model_of_ours_without_its_configuration_is_refused(
    content, message, tmp_path
):
    config = own(tmp_path / "own") / "config.json"
    config.unlink()
    if content is not None:
        config.write_text(content)
    with pytest.raises(ModelError, match=message):
        pretrained.read(tmp_path / "own")
    with pytest.raises(ModelError, match=message):
        pretrained.check(ask(), tmp_path, arriving=Signal())


@pytest.mark.parametrize(
    "transforms",
    [
        ["mono", {"name": "fit", "seconds": 1.0}, LOG_MEL],
        ["mono", {"name": "fit", "seconds": 5.0}, LOG_MEL],
        [LOG_MEL],
        [{"name": "resample", "rate": 16000}, LOG_MEL],
        [{**TRANSFORMS.resolve(LOG_MEL, given=("sample_rate",)), "online": True}],
        [{"name": "mono", "order": 0}, {**LOG_MEL, "splits": ["train", "dev", "test"]}],
    ],
)
def test_a_model_of_ours_may_be_gone_on_with_where_features_are_alike(
    transforms, tmp_path
):
    own(tmp_path / "own")
    pretrained.check(ask(*transforms), tmp_path, arriving=Signal("spectrogram", 16000))


@pytest.mark.parametrize(
    ("transforms", "rate", "message"),
    [
        ([LOG_MEL], 8000, r"'own' were trained on 16000 Hz, but .* with 8000 Hz; set"),
        (
            [{**LOG_MEL, "hop_length": 320}],
            16000,
            "'own' were trained with log_mel.hop_length: 160, but .* have 320",
        ),
        (
            [{"name": "log_mel", "hop_length": 160, "n_mels": 32, "f_max": 8000}],
            16000,
            "trained with log_mel.n_mels: 64, but preprocess.transforms have 32",
        ),
        (
            ["mono", LOG_MEL, "standardize"],
            16000,
            "transforms mono, fit, log_mel, but .* have mono, log_mel, standardize;",
        ),
        (
            ["mono"],
            16000,
            "mono, fit, log_mel, but .* have mono; only fit, mono, resample may",
        ),
    ],
)
def test_a_model_of_ours_from_another_front_end_is_refused(
    transforms, rate, message, tmp_path
):
    own(tmp_path / "own")
    with pytest.raises(ParamsError, match=message):
        pretrained.check(
            ask(*transforms), tmp_path, arriving=Signal("spectrogram", rate)
        )


def test_a_transform_that_another_study_had_for_itself_is_named(tmp_path):
    made = {"sample_rate": 16000, "transforms": [{"name": "theirs", "x": 1}]}
    own(tmp_path / "own", preprocess=made)
    with pytest.raises(ParamsError, match="the transforms theirs, but .* have log_mel"):
        pretrained.check(ask(LOG_MEL), tmp_path, arriving=Signal("spectrogram", 16000))


def test_files_of_the_study_are_tried_out_before_the_stages(tmp_path):
    own(tmp_path / "own")
    model = Net()
    pretrained.try_out(model, ask(), tmp_path, labels=["a", "b", "d"])
    with pytest.raises(ModelError, match=r"for the labels a, b, c, but .* a, b, d"):
        pretrained.try_out(model, ask(keep_head=True), tmp_path, labels=["a", "b", "d"])
    # Before the labels of the study are known, nothing is said about the head.
    pretrained.try_out(Net(num_outputs=2), ask(keep_head=True), tmp_path, labels=None)
    with pytest.raises(ModelError, match="'own' does not fit the model: of other shap"):
        pretrained.try_out(Net(width=5), ask(), tmp_path, labels=None)
    pretrained.try_out(model, params(), tmp_path, labels=None)  # not downloaded yet


def test_a_model_that_was_saved_in_its_wrapper_fits():
    tensors = {f"module.{key}": value for key, value in published().items()}
    model = Net()
    pretrained.fit(model, tensors, name="x")
    assert torch.equal(model.body.weight, tensors["module.trunk.body.weight"])
    some = {**tensors, "mel.more": torch.ones(1)}
    with pytest.raises(ModelError, match="it has besides module"):
        pretrained.fit(model, some, name="x")


def test_a_model_that_is_called_module_itself_keeps_its_names():
    class Outer(nn.Module):
        head_modules = ("module.head",)

        def __init__(self):
            super().__init__()
            self.module = Net()

    theirs = Outer().state_dict()
    model = Outer()
    pretrained.fit(model, theirs, name="x")
    assert torch.equal(model.module.body.weight, theirs["module.body.weight"])


def test_training_does_not_start_from_other_weights_than_asked_for(tmp_path):
    with pytest.raises(ModelError, match=r"run `rehear pretrained` first"):
        pretrained.start(Net(), params(), tmp_path)
    folder = tmp_path / "data/pretrained"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps({"weights": "others"}))
    with pytest.raises(ModelError, match=r"does not hold .*lab/net-16k"):
        pretrained.start(Net(), params(), tmp_path)


def test_addresses_on_the_hub_name_a_revision():
    url = on_hub("lab/net", file="model.safetensors", revision="0a1b")
    assert url == "https://huggingface.co/lab/net/resolve/0a1b/model.safetensors"


def test_a_missing_library_is_told_where_its_weights_are_wanted(tmp_path):
    class Bare(Net):
        @classmethod
        def sources(cls):
            raise ParamsError("model 'bare' needs the package x")

    MODELS.add("bare", Bare)
    bare = params(model=Part(name="bare"))
    with pytest.raises(ParamsError, match="needs the package x"):
        pretrained.check(bare, tmp_path, arriving=Signal())
    # Others are not kept from theirs.
    assert pretrained.find(SOURCE.name, tmp_path, model="ffnn") == SOURCE
