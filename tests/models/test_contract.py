"""What holds for every model: each part trained for each task, each preset built."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from models.test_models import RATES, SHAPES, small
from rehear import (
    building,
    checkpoint,
    engine,
    freezing,
    inference,
    metrics,
    presets,
    probing,
    signals,
    tasks,
    training,
    transforms,
)
from rehear.clips import ClipSet
from rehear.errors import ParamsError
from rehear.losses import LOSSES
from rehear.models import GIVEN, MODELS, structure
from rehear.params import Train
from rehear.signals import Signal

COUNT = 5
SETTINGS = Train(epochs=1, batch_size=3, lr=1e-3, threads=1, device="cpu")
LEARNT = {
    "classification": {"labels": ["a", "b", "c"]},
    "tagging": {"labels": ["a", "b", "c", "d"]},
    "regression": {"labels": ["arousal"], "mean": [0.2], "std": [1.5]},
}
MADE = [preset for preset in presets.everything() if preset.kind == "model"]
MODEL, FRONT = ("model",), ("preprocess", "transforms")


class Stored:
    """Features of some clips in memory."""

    differs_in_length_only = False

    def __init__(self, shape, seed):
        draws = np.random.default_rng(seed)
        self.values = draws.standard_normal((COUNT, *shape)).astype(np.float32)
        self.ids, self.shape = [str(i) for i in range(COUNT)], shape

    def gather(self, rows):
        return self.values[rows]

    def size(self, rows):
        return len(rows) * self.values[0].size


def clip_set(shape, task, seed):
    outputs = len(task.labels)
    targets = {
        "classification": np.arange(COUNT) % outputs,
        "tagging": np.eye(outputs, dtype=np.float32)[np.arange(COUNT) % outputs],
        "regression": np.linspace(-1, 1, COUNT, dtype=np.float32)[:, None],
    }[task.name]
    return ClipSet(Stored(shape, seed), range(COUNT), targets, seed=1)


EACH_TASK = [
    pytest.param(item, marks=[] if item[0] == "classification" else pytest.mark.slow)
    for item in LEARNT.items()
]


@pytest.mark.parametrize("learnt", EACH_TASK, ids=lambda item: item[0])
@pytest.mark.parametrize("name", MODELS.names())
def test_every_part_is_trained_saved_and_loaded_for_every_task(name, learnt, tmp_path):
    task = tasks.restore({"name": learnt[0], **learnt[1]})
    shape, rate = SHAPES[name], RATES.get(name, 16000)
    arriving = Signal(rate=rate)
    spec = small(name)
    model = building.build_model(spec, task, shape, arriving=arriving, seed=1)
    before = training.clone(model)
    run = training.Trainer(
        model,
        LOSSES.build(task.loss, counts=[2] * len(task.labels), task=task),
        task=task,
        settings=SETTINGS,
        metrics=metrics.choose((), task=task.name, track=""),
        seed=1,
    )
    train, dev = clip_set(shape, task, 1), clip_set(shape, task, 2)
    truth = dev.targets
    run.fit(train, dev, truth=truth)
    assert np.isfinite(run.progress.history[0]["train_loss"])
    learns = [k for k, v in training.clone(model).items() if not v.equal(before[k])]
    assert {structure.is_under(k, structure.head(model)) for k in learns} == {
        True,
        False,
    }
    config = {
        "model": MODELS.resolve(spec, given=GIVEN),
        "task": task.state(),
        "input_shape": shape,
        "sample_rate": rate,
    }
    checkpoint.save(tmp_path, run.model.state_dict(), config)
    loaded, _ = checkpoint.load(tmp_path)
    options = {
        "batch_size": 3,
        "run": engine.pick("cpu", "fp32"),
        "settings": SETTINGS,
    }
    expected = inference.predict(run.model, dev, **options)
    np.testing.assert_array_equal(
        inference.predict(
            engine.place(loaded, torch.device("cpu"), SETTINGS), dev, **options
        ),
        expected,
    )
    assert expected.shape == (COUNT, len(task.labels))


EXTRACTED = {"ast", "whisper"}


@pytest.mark.parametrize("name", MODELS.names())
def test_what_is_missing_between_a_waveform_and_a_model_is_told(name):
    waveform = Signal("waveform", RATES.get(name, 16000), "fit")
    if "waveform" in signals.taken(MODELS.get(name)):
        waveform = waveform._replace(kind="spectrogram")
    task = tasks.restore({"name": "classification", "labels": ["a", "b"]})
    with pytest.raises(ParamsError, match=f"model '{name}' takes ") as refused:
        building.build_model(
            {"name": name}, task, (1, 16000), arriving=waveform, seed=1
        )
    advice = str(refused.value).partition("; end preprocess.transforms with ")[2]
    if waveform.kind == "spectrogram":
        assert advice == "mono, without a spectrogram or other features"
        return
    if name in EXTRACTED:
        assert advice == f"{{name: feature_extractor, model: {name}}}"
    for end in advice.split(", or "):
        specs = YAML(typ="safe").load(f"[{end.replace(' and ', ', ')}]")
        chain = transforms.build(specs, sample_rate=16000, kind="waveform")
        signals.after(MODELS.get(name), name, chain.after, what="model")


def test_an_own_model_of_images_is_told_how_to_get_them():
    class Own:
        takes = "image"

    with pytest.raises(ParamsError, match="end .* with log_mel and spectrogram_image"):
        signals.after(Own, "own", Signal("waveform", 16000, "fit"), what="model")


def build(name, *, seed=1):
    task = tasks.restore({"name": "classification", "labels": ["a", "b", "c"]})
    arriving = Signal(rate=RATES.get(name, 16000))
    return building.build_model(
        small(name), task, SHAPES[name], arriving=arriving, seed=seed
    )


@pytest.mark.parametrize("name", MODELS.names())
def test_both_halves_of_a_model_are_the_whole(name):
    model = build(name, seed=1).eval()
    x = torch.randn(2, *SHAPES[name], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = model(x)
        assert torch.equal(model.decode(model.encode(x)), whole)
        other = build(name, seed=2).eval()
        state = other.state_dict()
        head = structure.head(model)
        own = model.state_dict()
        other.load_state_dict(
            {k: state[k] if structure.is_under(k, head) else own[k] for k in state}
        )
        # What comes before the head does not depend on the head.
        assert torch.equal(other.encode(x), model.encode(x))
        assert not torch.equal(other(x), whole)


PROBED = [
    {"name": "timm", "architecture": "test_resnet"},
    {"name": "torchvision", "architecture": "mobilenet_v2"},
    {"name": "torchvision", "architecture": "mobilenet_v3_small"},
    {"name": "torchvision", "architecture": "googlenet"},
]


@pytest.mark.parametrize("spec", PROBED, ids=lambda spec: spec["architecture"])
def test_probes_learn_what_training_with_frozen_layers_does(spec, monkeypatch):
    task = tasks.restore({"name": "classification", "labels": ["a", "b", "c"]})
    shape = (1, 32, 32)

    def learnt():
        run = training.Trainer(
            building.build_model(spec, task, shape, arriving=Signal(), seed=1),
            LOSSES.build(task.loss, counts=[2, 2, 1], task=task),
            task=task,
            settings=replace(SETTINGS, freeze="all", epochs=3, lr=0.1),
            metrics=metrics.choose((), task=task.name, track=""),
            seed=1,
        )
        dev = clip_set(shape, task, 2)
        run.fit(clip_set(shape, task, 1), dev, truth=dev.targets)
        return run.net, run.final_state(), run.progress.history

    net, state, history = learnt()
    quick = spec["architecture"] != "googlenet"  # its last dropout stands elsewhere
    assert (type(net).__name__ == "_Decoder") == quick
    monkeypatch.setattr(probing, "applies", lambda *_: False)
    _, expected, log = learnt()
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, rtol=1e-4, atol=1e-6)
    assert [row["train_loss"] for row in history] == pytest.approx(
        [row["train_loss"] for row in log], rel=1e-4
    )
    assert history[0]["train_loss"] != history[2]["train_loss"]


@pytest.mark.parametrize("name", MODELS.names())
def test_only_the_head_of_a_frozen_model_learns(name):
    model = build(name)
    check_groups(model)
    head = structure.head(model)
    x = torch.randn(2, *SHAPES[name], generator=torch.Generator().manual_seed(1))
    freezing.hold(model.train(), replace(SETTINGS, freeze="all"), epoch=0)
    model(x).square().sum().backward()
    learns = {k for k, p in model.named_parameters() if p.grad is not None}
    assert learns
    assert all(structure.is_under(k, head) for k in learns)


DROPPING = [
    {"name": "passt", "num_hidden_layers": 1, "s_patchout_t": 1},
    {"name": "torchvision", "architecture": "vgg11"},
    {"name": "torchvision", "architecture": "vit_b_32", "dropout": 0.1},
    {"name": "timm", "architecture": "test_vit", "pos_drop_rate": 0.5},
    {"name": "crnn", "hidden_size": 8, "num_layers": 2},
]


@pytest.mark.parametrize(
    "spec",
    [*map(small, MODELS.names()), *DROPPING],
    ids=lambda spec: "-".join(map(str, spec.values()))[:30],
)
def test_frozen_layers_draw_nothing(spec):
    task = tasks.restore({"name": "classification", "labels": ["a", "b", "c"]})
    name = spec["name"]
    shape = {"passt": (1, 16000)}.get(name, SHAPES[name])
    if "vit" in spec.get("architecture", ""):
        shape = (1, 64, 64)
    arriving = Signal(rate=RATES.get(name, 16000))
    model = building.build_model(spec, task, shape, arriving=arriving, seed=1)
    freezing.hold(model.train(), replace(SETTINGS, freeze="all"), epoch=0)
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.manual_seed(1)
        first = model.encode(x)
        assert torch.equal(model.encode(x), first)


def check_groups(model):
    """Every parameter is in one group of layers, or in the head."""
    groups = [*structure.blocks(model), structure.head(model)]
    counts = Counter(
        name
        for name, _ in model.named_parameters()
        for group in groups
        if structure.is_under(name, group)
    )
    names = [name for name, _ in model.named_parameters()]
    assert [name for name in names if counts[name] != 1] == []
    assert 0 < structure.extractor(model) <= len(groups) - 1


SPECTROGRAM = (1, 64, 101)


def input_of(preset):
    """Return the shape that a preset's model gets, and the sample rate."""
    settings = preset.settings()
    rate = settings.get(("preprocess", "sample_rate"), 16000)
    parts = {part["name"]: part for part in settings.get(FRONT, ())}
    side = parts.get("resize", {}).get("height")
    kind = parts.get("feature_extractor", {}).get("model")
    extracted = {"ast": (1024, 128), "whisper": (80, 3000), "wav2vec2": (1, rate)}
    if settings[MODEL]["name"] == "ffnn":
        return (88,), rate
    if side:
        return (3 if "rgb" in parts else 1, side, side), rate
    if kind:
        return extracted[kind], rate
    if "opensmile" in parts:
        return (1, 32, 98), rate
    return (1, 2 * rate) if list(parts) == ["mono"] else SPECTROGRAM, rate


# From scratch and pretrained, most presets build the same model.
DIFFERENT = list({str((p.settings()[MODEL], input_of(p))): p for p in MADE}.values())
# Their libraries make tensors on the CPU in between.
NOT_ABSTRACT = {"beats", "ecapa_tdnn", "leaf", "passt"}


@pytest.mark.parametrize("preset", DIFFERENT, ids=lambda preset: preset.name)
def test_every_preset_is_built_and_run(preset):
    """Without memory: shapes are computed, numbers are not."""
    spec = preset.settings()[MODEL]
    shape, rate = input_of(preset)
    given = {"num_outputs": 3, "input_shape": shape, "sample_rate": rate}
    with torch.device("cpu" if spec["name"] in NOT_ABSTRACT else "meta"):
        model = MODELS.build(spec, **given)
        x = torch.zeros((2, *shape))
    check_groups(model)
    logits = model(x)
    assert logits.shape == (2, 3)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.eval().embed(x).ndim == 2
