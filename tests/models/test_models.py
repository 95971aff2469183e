"""The contract of every model, and the truth of each architecture."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from rehear import checkpoint
from rehear.errors import ModelError, ParamsError
from rehear.models import GIVEN, MODELS

SHAPES = {
    "ast": (46, 36),
    "beats": (1, 4000),
    "cnn10": (1, 64, 51),
    "cnn14": (1, 64, 51),
    "cnn6": (1, 64, 51),
    "crnn": (1, 4000),
    "ecapa_tdnn": (1, 4000),
    "ffnn": (88,),
    "hubert": (1, 1200),
    "leaf": (1, 4800),
    "passt": (1, 9000),
    "resnet38": (1, 64, 51),
    "seq_ffnn": (1, 25, 30),
    "timm": (1, 32, 32),
    "torchvision": (1, 64, 64),
    "wavegram_logmel_cnn14": (1, 10300),
    "wav2vec2": (1, 1200),
    "wavlm": (1, 1200),
    "whisper": (80, 40),
}
SMALL = {
    "ast": {"num_hidden_layers": 1},
    "beats": {"num_hidden_layers": 1},
    "cnn14": {"width": 4},
    "crnn": {"hidden_size": 8},
    "ecapa_tdnn": {
        "channels": [16, 16, 16, 16, 24],
        "attention_channels": 4,
        "se_channels": 4,
    },
    "hubert": {"num_hidden_layers": 1},
    "leaf": {"filters": 8, "efficientnet": "test_efficientnet"},
    "passt": {"num_hidden_layers": 1},
    "resnet38": {"width": 4},
    "timm": {"architecture": "test_resnet"},
    "torchvision": {"architecture": "shufflenet_v2_x0_5"},
    "wav2vec2": {"num_hidden_layers": 1},
    "wavegram_logmel_cnn14": {"width": 4},
    "wavlm": {"num_hidden_layers": 1},
}
RATES = {"passt": 32000, "wavegram_logmel_cnn14": 32000}


def small(name, **spec):
    return {"name": name, **SMALL.get(name, {}), **spec}


def build(name, **spec):
    if name == "passt":
        pytest.importorskip("hear21passt")
    torch.manual_seed(0)
    return MODELS.build(
        small(name, **spec),
        num_outputs=5,
        input_shape=SHAPES[name],
        sample_rate=RATES.get(name, 16000),
    )


@pytest.fixture(params=MODELS.names())
def name(request):
    return request.param


def test_outputs_embedding_and_gradients(name):
    model = build(name)
    features = torch.randn(3, *SHAPES[name])
    outputs = model(features)
    assert outputs.shape == (3, 5)
    assert model.embed(features).shape[0] == 3
    assert model.embed(features).ndim == 2
    outputs.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_saved_and_loaded_models_give_equal_outputs(name, tmp_path):
    model = build(name).eval()
    config = {
        "model": MODELS.resolve(small(name), given=GIVEN),
        "task": {"labels": list("abcde")},
        "input_shape": SHAPES[name],
        "sample_rate": RATES.get(name, 16000),
    }
    checkpoint.save(tmp_path, model.state_dict(), config)
    loaded, _ = checkpoint.load(tmp_path)
    features = torch.randn(3, *SHAPES[name])
    assert torch.equal(loaded(features), model(features))


def test_every_argument_has_a_default_and_is_documented(name):
    for key, parameter in MODELS.signature(name).items():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        assert f"{key}:" in MODELS.get(name).__doc__
        given = key in GIVEN
        assert given == (parameter.default is parameter.empty)


def expected_cnn10(weights, x):
    """Cnn10 as its paper describes it, on (batch, 1, frames, mels), in eval mode."""

    def norm(x, name):
        keys = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(weights[f"{name}.{k}"] for k in keys))

    x = norm(x.transpose(1, 3), "bn0").transpose(1, 3)
    for block in range(1, 5):
        for number in (1, 2):
            kernel = weights[f"conv_block{block}.conv{number}.weight"]
            x = functional.conv2d(x, kernel, padding=1)
            x = norm(x, f"conv_block{block}.bn{number}").relu()
        x = functional.avg_pool2d(x, 2)
    x = x.mean(dim=3)
    x = x.max(dim=2).values + x.mean(dim=2)
    x = functional.linear(x, weights["fc1.weight"], weights["fc1.bias"]).relu()
    return functional.linear(
        x, weights["fc_audioset.weight"], weights["fc_audioset.bias"]
    )


def test_cnn10_computes_what_the_paper_says():
    model = build("cnn10").eval()
    generator = torch.Generator().manual_seed(1)
    weights = {
        key: torch.rand(value.shape, generator=generator) / 5 + 0.05
        if value.is_floating_point()
        else value
        for key, value in model.state_dict().items()
    }
    model.load_state_dict(weights)
    features = torch.randn(2, 1, 101, 64, generator=generator)
    model.bn0 = torch.nn.BatchNorm2d(64).eval()
    model.bn0.load_state_dict(
        {k[4:]: v for k, v in weights.items() if k.startswith("bn0.")}
    )
    expected = expected_cnn10(weights, features)
    torch.testing.assert_close(
        model(features.transpose(2, 3)), expected, rtol=1e-5, atol=1e-5
    )


def test_cnn10_has_the_size_of_the_paper():
    model = MODELS.build("cnn10", num_outputs=527, input_shape=(1, 64, 1001))
    convolutions = sum(9 * (a * b + b * b) for a, b in _blocks())
    norms = 2 * 64 + sum(4 * b for _, b in _blocks())
    linear = 512 * 512 + 512 + 512 * 527 + 527
    assert sum(p.numel() for p in model.parameters()) == convolutions + norms + linear


def _blocks():
    return [(1, 64), (64, 128), (128, 256), (256, 512)]


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("cnn10", (88,), r"takes a spectrogram .* features are \(88,\); end preproc"),
        ("cnn10", (2, 64, 51), "takes a spectrogram"),
        ("cnn10", (1, 64, 3), "at least 16 by 16"),
        ("ffnn", (1, 64, 51), r"takes a vector .* features are \(1, 64, 51\)"),
    ],
)
def test_features_that_do_not_fit_are_refused(name, shape, message):
    with pytest.raises(ModelError, match=message):
        MODELS.build(name, num_outputs=2, input_shape=shape)


WITH_FFNN = [
    name
    for name in MODELS.names()
    if {"hidden_size", "dropout"} <= {*MODELS.signature(name)}
    and name != "crnn"  # has them in its recurrent layers, which refuse them in torch
]


@pytest.mark.parametrize("name", WITH_FFNN)
@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("hidden_size", 0, "1 or more, not 0"),
        ("dropout", 1.5, "a number from 0 to 1, not 1.5"),
        ("dropout", -0.5, "a number from 0 to 1, not -0.5"),
    ],
)
def test_layers_without_width_and_wrong_chances_are_refused(
    name, argument, value, expected
):
    message = f"'{name}': {argument}: expected {expected}"
    with pytest.raises(ParamsError, match=message):
        build(name, **{argument: value})


def test_weights_that_do_not_fit_are_refused(tmp_path):
    config = {
        "model": {"name": "ffnn", "hidden_size": 8},
        "task": {"labels": ["a", "b"]},
        "input_shape": [4],
    }
    checkpoint.save(tmp_path, {"head.weight": torch.zeros(2, 8)}, config)
    with pytest.raises(ModelError, match=r"does not fit the model .* Missing key"):
        checkpoint.load(tmp_path)


def test_a_damaged_file_is_refused_and_never_unpickled(tmp_path):
    config = {"model": "ffnn", "task": {"labels": ["a"]}, "input_shape": [4]}
    checkpoint.save(tmp_path, {"x": torch.zeros(2)}, config)
    torch.save({"x": np.zeros(2)}, tmp_path / checkpoint.WEIGHTS)
    with pytest.raises(ModelError, match="is damaged"):
        checkpoint.load(tmp_path)
    with pytest.raises(ModelError, match="holds no model"):
        checkpoint.load(tmp_path / "nothing")
