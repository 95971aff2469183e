"""Whisper against the library transformers."""

import inspect

import pytest
import torch
from safetensors.torch import load_file

from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, structure, whisper

transformers = pytest.importorskip("transformers")

TINY = {
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 24,
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    tables = {**whisper.ARCHITECTURES, "mini": TINY}
    monkeypatch.setattr(whisper, "ARCHITECTURES", tables)


@pytest.fixture(params=["mean", "decoder"])
def pooling(request):
    return request.param


def build(*, shape=(80, 100), **arguments):
    torch.manual_seed(0)
    spec = {"name": "whisper", "hidden_size": 8, **arguments}
    spec = {"architecture": "mini", **spec}
    return MODELS.build(spec, num_outputs=5, input_shape=shape, sample_rate=16000)


def original(*, positions=50):
    torch.manual_seed(1)
    config = transformers.WhisperConfig(**TINY, max_source_positions=positions)
    return transformers.WhisperForConditionalGeneration(config).eval()


def features(*, frames=100):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(2, 80, frames, generator=generator)


def loaded(model, tensors):
    state = model.adapted(tensors)
    heads = {
        key: value
        for key, value in model.state_dict().items()
        if structure.is_under(key, structure.head(model))
    }
    model.load_state_dict({**heads, **state}, strict=True)
    return model.eval()


def test_equals_the_original_with_its_checkpoint(pooling, tmp_path):
    reference = original()
    reference.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    assert all(key.startswith(("model.", "proj_out.")) for key in tensors)
    model = loaded(build(pooling=pooling), tensors)
    states = reference.model.encoder(features()).last_hidden_state.mean(dim=1)
    if pooling == "decoder":
        tokens = torch.full((2, 1), 50258)
        out = reference.model(features(), decoder_input_ids=tokens, use_cache=False)
        states = out.last_hidden_state[:, 0]
    embedding = model.ffnn.hidden(states)
    torch.testing.assert_close(model.embed(features()), embedding, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        model(features()), model.ffnn.head(embedding), rtol=0, atol=1e-5
    )
    assert embedding.shape == (2, 8)


def test_shorter_inputs_use_the_first_positions(pooling):
    tensors = original().state_dict()
    short = loaded(build(shape=(80, 60), pooling=pooling), tensors)
    positions = tensors["model.encoder.embed_positions.weight"]
    assert torch.equal(short.encoder.embed_positions.weight, positions[:30])
    assert short(features(frames=60)).shape == (2, 5)


def test_longer_inputs_than_the_weights_are_for_are_refused():
    with pytest.raises(RuntimeError, match=r"embed_positions.weight: copying a param"):
        loaded(build(), original(positions=40).state_dict())


def test_what_is_not_known_is_passed_on():
    assert "surprise" in build().adapted({"surprise": torch.zeros(1)})


def test_positions_are_sinusoids_that_never_learn(pooling):
    model = build(pooling=pooling)
    assert not any("encoder.embed_pos" in key for key, _ in model.named_parameters())
    expected = original().model.encoder.embed_positions.weight
    assert torch.equal(model.encoder.embed_positions.weight, expected)
    assert not model.encoder.embed_positions.weight.requires_grad


def test_gradients_reach_every_parameter_and_are_deterministic(pooling):
    gradients = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            model = build(pooling=pooling).train()
            model(features()).square().sum().backward()
            gradients.append({k: p.grad for k, p in model.named_parameters()})
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(grad is not None for grad in gradients[0].values())
    assert all(torch.equal(gradients[0][k], gradients[1][k]) for k in gradients[0])


def test_every_parameter_is_of_one_block_or_the_head(pooling):
    model = build(pooling=pooling)
    groups = [*structure.blocks(model), structure.head(model)]
    for key, _ in model.named_parameters():
        assert sum(structure.is_under(key, group) for group in groups) == 1
    assert len(structure.blocks(model)) == (3 if pooling == "mean" else 6)


def test_every_architecture_has_the_size_that_is_published():
    for key, source in MODELS.get("whisper").sources().items():
        assert key == source.name
        assert source.rate == 16000
        assert set(source.arguments) <= set(
            inspect.signature(MODELS.get("whisper")).parameters
        )
        mels = source.front_end.get("feature_size", 80)
        with torch.device("meta"):
            model = build(shape=(mels, 3000), pooling="decoder", **source.arguments)
        halves = (model.encoder, model.decoder)
        tensors = [t for half in halves for t in half.state_dict().values()]
        width = 2 if key.endswith("large-v3") else 4  # bytes of a number
        rest = source.size - width * sum(tensor.numel() for tensor in tensors)
        assert 0 < rest < 200 * len(tensors)  # names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"shape": (1, 16000)},
            r"takes \(80, 3000\): 80 mel bands.* \(1, 16000\); end",
        ),
        ({"shape": (128, 3000)}, r"takes \(80, 3000\)"),
        ({"shape": (80, 3002)}, "frames up to 3000"),
        ({"shape": (80, 99)}, "an even number"),
        ({"shape": (1, 80, 100)}, "feature_size: 80"),
        ({"architecture": "large-v3"}, "feature_size: 128"),
    ],
)
def test_features_that_do_not_fit_are_refused(arguments, message):
    with torch.device("meta"), pytest.raises(ModelError, match=message):
        build(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "smal"}, "unknown architecture 'smal'. Did you mean 'small'"),
        ({"pooling": "decodr"}, "unknown pooling 'decodr'. Did you mean 'decoder'"),
        ({"num_layers": 0}, "num_layers: expected 1 or more"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ParamsError, match=message):
        build(**arguments)


def test_takes_what_the_feature_extractor_gives():
    from rehear.transforms import TRANSFORMS

    transform = TRANSFORMS.build(
        {"name": "feature_extractor", "model": "whisper", "chunk_length": 1},
        sample_rate=16000,
    )
    clip = transform(torch.randn(1, 8000).numpy())
    model = build(shape=clip.shape).eval()
    assert model(torch.from_numpy(clip)[None]).shape == (1, 5)
