"""AST against the library transformers."""

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, structure, transformer
from rehear.models import audio_spectrogram_transformer as ast

transformers = pytest.importorskip("transformers")

TINY = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
SHAPE = (46, 36)
# Of one layer, as the published file names them.
LAYER = [
    f"encoder.layer.0.{module}.{kind}"
    for module in (
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
        "layernorm_before",
        "layernorm_after",
    )
    for kind in ("weight", "bias")
]
INPUT = [
    "embeddings.cls_token",
    "embeddings.distillation_token",
    "embeddings.position_embeddings",
    "embeddings.patch_embeddings.projection.weight",
    "embeddings.patch_embeddings.projection.bias",
    "layernorm.weight",
    "layernorm.bias",
]


def narrow(**settings):
    return transformers.ASTConfig(**TINY, **settings)


@pytest.fixture
def small(monkeypatch):
    """Make the encoder narrow."""
    library = SimpleNamespace(ASTConfig=narrow, ASTModel=transformers.ASTModel)
    monkeypatch.setattr(transformer, "library", lambda _: library)


def build(*, shape=SHAPE, **arguments):
    torch.manual_seed(0)
    spec = {"name": "ast", "hidden_size": 8, "num_hidden_layers": 2, **arguments}
    return MODELS.build(spec, num_outputs=5, input_shape=shape, sample_rate=16000)


def published(*, layers=2, shape=SHAPE):
    """Random weights by the names of the published file, and their config."""
    config = narrow(
        num_hidden_layers=layers,
        max_length=shape[0],
        num_mel_bins=shape[1],
        num_labels=7,
    )
    wide, size = config.intermediate_size, config.hidden_size
    patches = ((shape[0] - 16) // 10 + 1) * ((shape[1] - 16) // 10 + 1)
    shapes = {
        "embeddings.cls_token": (1, 1, size),
        "embeddings.distillation_token": (1, 1, size),
        "embeddings.position_embeddings": (1, patches + 2, size),
        "embeddings.patch_embeddings.projection.weight": (size, 1, 16, 16),
        "encoder.layer.0.intermediate.dense.weight": (wide, size),
        "encoder.layer.0.intermediate.dense.bias": (wide,),
        "encoder.layer.0.output.dense.weight": (size, wide),
    }
    generator = torch.Generator().manual_seed(3)

    def draw(name):
        square = name.endswith("weight") and "layernorm" not in name
        default = (size, size) if square else (size,)
        return torch.randn(shapes.get(name, default), generator=generator) / 4

    names = {name: name for name in INPUT}
    for index in range(layers):
        names |= {name.replace(".0.", f".{index}.", 1): name for name in LAYER}
    tensors = {
        f"audio_spectrogram_transformer.{name}": draw(like)
        for name, like in names.items()
    }
    head = {
        "classifier.layernorm.weight": torch.ones(size),
        "classifier.layernorm.bias": torch.zeros(size),
        "classifier.dense.weight": draw("head.weight")[:7],
        "classifier.dense.bias": torch.zeros(7),
    }
    return {**tensors, **head}, config


def original(folder, tensors, config):
    """What transformers itself makes of a published file."""
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    model, told = transformers.ASTForAudioClassification.from_pretrained(
        folder, output_loading_info=True
    )
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    return model.audio_spectrogram_transformer.eval()


def loaded(model, tensors):
    state = model.adapted(tensors)
    heads = {
        key: value
        for key, value in model.state_dict().items()
        if structure.is_under(key, structure.head(model))
    }
    model.load_state_dict({**heads, **state}, strict=True)
    return model.eval()


def features(*, shape=SHAPE):
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("pooling", ["mean", "cls+distil"])
def test_equals_the_original_with_its_checkpoint(small, pooling, tmp_path):
    tensors, config = published()
    reference = original(tmp_path, tensors, config)
    model = loaded(build(pooling=pooling), tensors)
    out = reference(features())
    pooled = {"mean": out.last_hidden_state.mean(1), "cls+distil": out.pooler_output}
    embedding = model.ffnn.hidden(pooled[pooling])
    torch.testing.assert_close(model.embed(features()), embedding, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        model(features()), model.ffnn.head(embedding), rtol=0, atol=1e-5
    )
    assert embedding.shape == (2, 8)


def test_first_layers(small):
    tensors, _ = published(layers=4)
    model = loaded(build(num_hidden_layers=3), tensors)
    assert model(features()).shape == (2, 5)
    with pytest.raises(RuntimeError, match="Missing key"):
        loaded(build(num_hidden_layers=5), tensors)


def test_what_is_not_known_is_passed_on(small):
    assert "encoder.surprise" in build().adapted({"surprise": torch.zeros(1)})


@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((1024, 128), (12, 101)),
        ((512, 128), (12, 50)),  # cut: 25 before and after
        ((1029, 128), (12, 102)),
        ((1024, 64), (5, 101)),
        ((300, 64), (5, 29)),
        ((1100, 148), (14, 109)),
    ],
)
def test_positions_are_cut_or_interpolated_as_the_authors_do(small, shape, grid):
    generator = torch.Generator().manual_seed(3)
    positions = torch.randn(1, 2 + 12 * 101, 16, generator=generator)
    mels, frames = grid
    plane = positions[0, 2:].T.reshape(1, 16, 12, 101)
    if frames < 101:
        start = 50 - frames // 2
        plane = plane[..., start : start + frames]
    else:
        plane = functional.interpolate(plane, size=(12, frames), mode="bilinear")
    if mels < 12:
        start = 6 - mels // 2
        plane = plane[:, :, start : start + mels]
    elif mels > 12:
        plane = functional.interpolate(plane, size=(mels, frames), mode="bilinear")
    expected = torch.cat([positions[:, :2], plane.flatten(2).transpose(1, 2)], dim=1)
    model = build(shape=shape)
    key = "embeddings.position_embeddings"
    adapted = model.adapted({f"audio_spectrogram_transformer.{key}": positions})
    torch.testing.assert_close(adapted[f"encoder.{key}"], expected)
    assert model.encoder.embeddings.position_embeddings.shape == expected.shape


def test_positions_of_another_grid_are_refused(small):
    tensors, _ = published(shape=(56, 36))
    with pytest.raises(RuntimeError, match=r"position_embeddings: copying a param"):
        loaded(build(), tensors)


def test_gradients_reach_every_parameter_and_are_deterministic(small):
    gradients = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            model = build().train()
            model(features()).square().sum().backward()
            gradients.append({k: p.grad for k, p in model.named_parameters()})
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(grad is not None for grad in gradients[0].values())
    assert all(torch.equal(gradients[0][k], gradients[1][k]) for k in gradients[0])


def test_every_parameter_is_of_one_block_or_the_head(small):
    model = build()
    groups = [*structure.blocks(model), structure.head(model)]
    for key, _ in model.named_parameters():
        assert sum(structure.is_under(key, group) for group in groups) == 1
    assert len(structure.blocks(model)) == 3


def test_has_the_size_that_is_published():
    (source,) = MODELS.get("ast").sources().values()
    with torch.device("meta"):
        model = build(shape=(1024, 128), num_hidden_layers=12)
        theirs = transformers.ASTModel(transformers.ASTConfig())
    number = sum(p.numel() for p in model.encoder.parameters())
    assert number == sum(p.numel() for p in theirs.parameters())
    head = 2 * 768 + 527 * 768 + 527
    assert 0 < source.size - 4 * (number + head) < 200 * 203  # names
    assert (number + head, source.rate) == (86_594_063, 16000)
    assert ast.GRID == theirs.embeddings.get_shape(theirs.config)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"shape": (88,)},
            r"takes \(frames, mels\) of at least 16 by 16.* \(88,\); end",
        ),
        ({"shape": (1, 16000)}, "model: ast"),
        ({"shape": (46, 15)}, "at least 16 by 16"),
    ],
)
def test_features_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        build(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_hidden_layers": 13}, "expected 1 to 12, not 13"),
        ({"pooling": "men"}, "unknown pooling 'men'. Did you mean 'mean'"),
        ({"num_layers": 0}, "num_layers: expected 1 or more"),
    ],
)
def test_wrong_arguments_are_refused(small, arguments, message):
    with pytest.raises(ParamsError, match=message):
        build(**arguments)


def test_takes_what_the_feature_extractor_gives(small):
    from rehear.transforms import TRANSFORMS

    transform = TRANSFORMS.build(
        {"name": "feature_extractor", "model": "ast", "max_length": 128},
        sample_rate=16000,
    )
    clip = transform(torch.randn(1, 8000).numpy())
    model = build(shape=clip.shape).eval()
    assert clip.shape == (128, 128)
    assert model(torch.from_numpy(clip)[None]).shape == (1, 5)
