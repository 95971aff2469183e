"""`rehear check`: every mistake shows before the expensive work."""

import shutil

import numpy as np
import pytest
import torch

from rehear import audio, checking, checkpoint, manifest, params, pipeline
from rehear.errors import DataError, ModelError, ParamsError, RehearError
from rehear.manifest import Clip, Manifest
from rehear.models import MODELS


@pytest.fixture
def study(tmp_path, repository):
    shutil.copy(repository / "params.yaml", tmp_path)
    return tmp_path


def change(study, **changes):
    from ruamel.yaml import YAML

    yaml, path = YAML(), study / "params.yaml"
    tree = yaml.load(path)
    for dotted, value in changes.items():
        *keys, last = dotted.split("__")
        node = tree
        for key in keys:
            node = node[key]
        node[last] = value
    yaml.dump(tree, path)
    return params.load(path)


def test_the_reference_study_passes_and_prints_the_path(study):
    lines = list(checking.check(study))
    assert lines[0] == "params.yaml: 3 run(s), every part known"
    assert lines[-1].startswith("waveform (1, 16000) → mono (1, 16000) → fit")
    assert " → cnn10 → logits (" in lines[-1]
    assert "log_mel (1, 64, 51)" in lines[-1]


def test_functionals_go_to_the_feed_forward_network(study):
    pytest.importorskip("opensmile")
    transforms = ["mono", "opensmile", {"name": "standardize", "online": True}]
    values = change(study, preprocess__transforms=transforms, model={"name": "ffnn"})
    path = checking.dry_run(study, values)
    assert path[2:] == ["opensmile (88)", "standardize (88)", "ffnn", "logits (2)"]


def test_what_a_store_would_hold_goes_to_online_transforms(study):
    online = {"name": "to_float", "online": True}
    # Images are stored as bytes, numbers as float32.
    pytest.importorskip("matplotlib", reason="needs the extra images")
    transforms = ["mono", "log_mel", "spectrogram_image", online]
    model = {"name": "cnn10", "width": 4}
    grey = {"name": "grey", "online": True}
    values = change(study, preprocess__transforms=[*transforms, grey], model=model)
    assert any(
        line.startswith("to_float (3,") for line in checking.dry_run(study, values)
    )
    values = change(study, preprocess__transforms=["mono", "log_mel", online])
    with pytest.raises(DataError, match="'to_float': .*behind 'spectrogram_image'"):
        checking.dry_run(study, values)


def test_augmentations_are_tried_out(study):
    pytest.importorskip("torchvision", reason="needs the extra torchvision")
    part = {"name": "torchvision", "transform": "RandAugment"}
    values = change(study, augment=[part])
    with pytest.raises(DataError, match="'torchvision': .*'scale'"):
        checking.dry_run(study, values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": {"name": "cnn11"}},
            r"params.yaml: model: unknown model 'cnn11'. Di",
        ),
        ({"model": {"name": "cnn10", "widht": 8}}, r"no argument 'widht'. Did you mea"),
        ({"model": {"name": "cnn10", "num_outputs": 3}}, r"'num_outputs' is set by th"),
        (
            {"train__optimizer": {"name": "adamq"}},
            r"train.optimizer: unknown optimizer",
        ),
        (
            {"train__scheduler": {"name": "cosin"}},
            r"train.scheduler: unknown scheduler",
        ),
        (
            {"train__loss": {"name": "mse", "x": 1}},
            r"train.loss: loss 'mse' has no arg",
        ),
        ({"train__track": "uarr"}, r"unknown metric 'uarr'. Did you mean 'uar'"),
        ({"train__track": "ccc"}, r"metric 'ccc' is for regression"),
        ({"evaluate__metrics": ["acuracy"]}, r"Did you mean 'accuracy'"),
        ({"dataset": {"name": "fsd"}}, r"dataset: unknown data set 'fsd'"),
        ({"task": "clasification"}, r"task: unknown task 'clasification'"),
        (
            {"augment": [{"name": "mix_up"}]},
            r"augment.0: unknown augmentation 'mix_up'",
        ),
        (
            {"preprocess__transforms": ["mono", "logmel"]},
            r"transforms.1: unknown transf",
        ),
        ({"model": {"name": "ffnn"}}, r"model 'ffnn' takes a vector"),
        ({"preprocess__transforms": ["log_mel", "mono"]}, r"'mono'"),
        ({"model": {"name": "cnn10", "width": "wide"}}, r"width: expected a whole num"),
        ({"model": {"name": "cnn10", "width": -1}}, r"width must be 1 or more, got -1"),
        (
            {"model": {"name": "cnn10", "dropout": 2}},
            r"dropout and head_dropout must be",
        ),
        (
            {"train__scheduler": {"name": "step", "epochs": 0}},
            r"epochs must be 1 or mo",
        ),
        ({"train__optimizer": {"name": "sgd", "momentum": -1}}, r"Invalid momentum"),
        ({"augment": [{"name": "mixup", "alpha": 0}]}, r"alpha must be above 0"),
        (
            {
                "augment": [
                    "gain",
                    {"name": "sequence", "parts": [{"name": "gain", "p": 2}]},
                ]
            },
            r"^params.yaml: augment.1.parts.0: augmentation 'gain': p must be from 0",
        ),
        ({"augment": ["polarity"]}, r"augmentation 'polarity' takes a waveform"),
        ({"augment": ["gain", "gane"]}, r"^params.yaml: augment.1: unknown augment"),
        ({"train__loss": "mse"}, r"'mse' is for regression, but task is classificati"),
        ({"dataset": {"name": "fsdd"}, "task": "tagging"}, r"'fsdd' is for classifica"),
    ],
)
def test_mistakes_are_named(study, changes, message):
    change(study, **changes)
    with pytest.raises(RehearError, match=message) as caught:
        list(checking.check(study))
    assert "\n" not in str(caught.value)


def test_own_data_must_be_watched_by_dvc(study, repository):
    shutil.copy(repository / "dvc.yaml", study)
    values = change(study, dataset={"name": "folder"})
    with pytest.raises(ParamsError, match=r"add the line '- \${fetch.source}' to its"):
        pipeline.check_source(study, values.fetch.source)
    text = (study / "dvc.yaml").read_text()
    (study / "dvc.yaml").write_text(text.replace("- data/raw\n", "- ${fetch.source}\n"))
    with pytest.raises(ParamsError, match="stage 'fetch'"):
        pipeline.check_source(study, values.fetch.source)


@pytest.mark.parametrize(
    ("folds", "left"),
    [(["1", "2"], "folds 3, 4, 5 of 5"), (["1", "2", "3", "4", "5"], ""), (None, "")],
)
def test_folds_that_are_left_out_are_told(study, folds, left):
    dataset = {"name": "esc50"}
    change(study, dataset=dataset, **({"folds": folds} if folds else {}))
    notes = [line for line in checking.check(study) if "note" in line]
    assert [left in note for note in notes] == ([True] if left else [])


def test_training_clips_of_different_length_are_told_before_training(study):
    clips = []
    for number, samples in enumerate((8000, 12000)):
        file = f"data/raw/{number}.wav"
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, (1, samples))
        audio.write(study / file, noise.astype(np.float32), 16000)
        facts = {"duration": samples / 16000, "sample_rate": 16000, "split": "train"}
        clips.append(Clip(str(number), file, labels=(str(number),), **facts))
    manifest.write(study / "data/manifest.csv", Manifest(tuple(clips)))
    values = change(study, preprocess__transforms=["mono", "log_mel"])
    with pytest.raises(ParamsError, match="differ in length"):
        checking.dry_run(study, values)
    values = change(study, augment=[{"name": "random_crop", "size": 20}])
    assert checking.dry_run(study, values)


@pytest.mark.parametrize("command", [["run"], ["preprocess"]])
def test_stages_refuse_a_wrong_order_before_any_work(
    study, monkeypatch, capsys, command
):
    from rehear import cli

    change(study, augment=["polarity"])
    monkeypatch.chdir(study)
    monkeypatch.setattr(cli, "_function", lambda stage: pytest.fail("it ran"))
    assert cli.main(command) == 1
    assert "augmentation 'polarity' takes a waveform" in capsys.readouterr().err


class Fragile(torch.nn.Module):
    """A study's own model that is for other features."""

    def __init__(self, *, num_outputs, input_shape):
        super().__init__()
        self.head = torch.nn.Linear(7, num_outputs)

    def forward(self, features):
        return self.head(features.flatten(1))


def test_features_that_a_model_cannot_take_are_told(study, monkeypatch):
    monkeypatch.setattr(MODELS, "_table", dict(MODELS._table))
    MODELS.add("fragile", Fragile)
    values = change(study, model={"name": "fragile"})
    with pytest.raises(ParamsError, match=r"'fragile' cannot take features \(1, 64, "):
        checking.dry_run(study, values)


def test_weights_to_be_downloaded_are_told_with_their_licence(study):
    front = {"name": "log_mel", "n_fft": 512, "hop_length": 160, "n_mels": 64}
    front |= {"f_min": 50, "f_max": 8000, "amin": 1e-10}
    change(
        study,
        model={"name": "cnn14"},
        pretrained={"weights": "panns/cnn14-16k"},
        preprocess__transforms=["mono", {"name": "fit", "seconds": 1.0}, front],
    )
    assert [*checking.check(study)][-1] == (
        "pretrained weights: panns/cnn14-16k, 359 MB, licence CC BY 4.0"
    )
    change(study, pretrained={"weights": "panns/cnn10-32k"})
    with pytest.raises(ParamsError, match=r"are not for the model 'cnn14'"):
        list(checking.check(study))


@pytest.fixture
def weights(study, repository):
    """The folder of a model of cnn10 that the study starts from."""
    values = change(study, pretrained={"weights": "earlier"})
    model = MODELS.build(values.model, num_outputs=2, input_shape=(1, 64, 51))
    config = {"model": dict(values.model), "task": {"labels": ["a", "b"]}}
    checkpoint.save(study / "earlier", model.state_dict(), config)
    return study / "earlier"


def test_files_to_start_from_are_opened(study, weights):
    assert [*checking.check(study)][-1].endswith("logits (2)")
    change(study, model={"name": "cnn14"})
    with pytest.raises(ModelError, match=r"'earlier' does not fit the model: it lacks"):
        list(checking.check(study))


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_files_that_hold_no_weights_are_told(study, weights, content):
    whole = (weights / "weights.safetensors").read_bytes()
    file = study / "file.safetensors"
    file.write_bytes(whole[:-9] if content is None else content)
    change(study, pretrained={"weights": file.name})
    with pytest.raises(ModelError, match=r"file.safetensors cannot be read \("):
        list(checking.check(study))
