"""wav2vec 2.0, HuBERT and WavLM against the library transformers."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, structure, transformer

transformers = pytest.importorskip("transformers")

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
TINY = {
    "tiny": SIZES,
    "tiny-norm": {
        **SIZES,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
    },
}
NAMES = ("hubert", "wav2vec2", "wavlm")
STEMS = {"hubert": "Hubert", "wav2vec2": "Wav2Vec2", "wavlm": "WavLM"}
WITH_HEADS = {
    "hubert": transformers.HubertForCTC,
    "wav2vec2": transformers.Wav2Vec2ForPreTraining,
    "wavlm": transformers.WavLMForSequenceClassification,
}
# Parameters of the files besides the encoder: masked_spec_embed, quantizer, heads.
BESIDES = {
    "facebook/wav2vec2-base": 672896 + 768,
    "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim": 1024 * 1028 + 3 + 1024,
    "facebook/hubert-base-ls960": 768,
    "microsoft/wavlm-base-plus": 768,
    "microsoft/wavlm-large": 1024,
}


@pytest.fixture(params=NAMES)
def name(request, monkeypatch):
    tables = {**MODELS.get(request.param).architectures, **TINY}
    monkeypatch.setattr(MODELS.get(request.param), "architectures", tables)
    return request.param


@pytest.fixture(params=list(TINY))
def architecture(request):
    return request.param


def build(name, *, shape=(1, 1600), rate=16000, outputs=5, **arguments):
    torch.manual_seed(0)
    spec = {"name": name, "hidden_size": 8, **arguments}
    return MODELS.build(spec, num_outputs=outputs, input_shape=shape, sample_rate=rate)


def original(name, architecture, suffix="Model", **settings):
    torch.manual_seed(1)
    config = getattr(transformers, f"{STEMS[name]}Config")
    cls = WITH_HEADS[name] if suffix == "head" else None
    cls = cls or getattr(transformers, f"{STEMS[name]}{suffix}")
    return cls(config(**TINY[architecture], **settings)).eval()


def waveforms(*sizes, generator=None):
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(1, size, generator=generator) for size in sizes]


def loaded(model, tensors):
    state = model.adapted(tensors)
    heads = {
        key: value
        for key, value in model.state_dict().items()
        if structure.is_under(key, structure.head(model))
    }
    model.load_state_dict({**heads, **state}, strict=True)
    return model.eval()


def test_equals_the_original(name, architecture):
    reference = original(name, architecture)
    model = loaded(build(name, architecture=architecture), reference.state_dict())
    features = torch.stack(waveforms(1600, 1600))
    states = reference(features[:, 0]).last_hidden_state
    embedding = model.ffnn.hidden(states.mean(dim=1))
    torch.testing.assert_close(model.embed(features), embedding, rtol=0, atol=1e-5)
    expected = functional.linear(
        embedding, model.ffnn.head.weight, model.ffnn.head.bias
    )
    torch.testing.assert_close(model(features), expected, rtol=0, atol=1e-5)
    assert embedding.shape == (2, 8)


def test_uses_the_class_of_its_family(name):
    model = build(name, architecture="tiny")
    assert type(model.encoder).__name__ == f"{STEMS[name]}Model"


@pytest.mark.parametrize("sizes", [(1600, 1001, 720), (1600, 400, 300), (350, 90)])
def test_padding_changes_nothing(name, architecture, sizes):
    model = build(name, architecture=architecture).eval()
    clips = waveforms(*sizes)
    alone = torch.cat([model(clip[None]) for clip in clips])
    embedded = torch.cat([model.embed(clip[None]) for clip in clips])
    longest = max(sizes)
    batch = torch.stack([functional.pad(c, (0, longest - c.shape[1])) for c in clips])
    lengths = torch.tensor(sizes)
    torch.testing.assert_close(model(batch, lengths), alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(model.embed(batch, lengths), embedded, rtol=0, atol=1e-5)


def test_what_stands_in_the_padding_is_not_read(name, architecture):
    model = build(name, architecture=architecture).eval()
    batch = torch.stack(waveforms(1600, 1600))
    lengths = torch.tensor([1600, 1001])
    before = model(batch, lengths)
    batch[1, :, 1001:] = 7.0
    torch.testing.assert_close(model(batch, lengths), before, rtol=0, atol=1e-5)


def test_without_padding_lengths_change_nothing(name, architecture):
    model = build(name, architecture=architecture).eval()
    batch = torch.stack(waveforms(1600, 1600))
    torch.testing.assert_close(
        model(batch, torch.tensor([1600, 1600])), model(batch), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("factors", ["weight_g", "original0"])
@pytest.mark.parametrize("suffix", ["Model", "head"])
def test_published_checkpoints_fit(name, architecture, suffix, factors, tmp_path):
    reference = original(name, architecture, suffix, mask_time_prob=0.05)
    reference.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    if factors == "weight_g":
        tensors = {
            key.replace("parametrizations.weight.original0", "weight_g").replace(
                "parametrizations.weight.original1", "weight_v"
            ): value
            for key, value in tensors.items()
        }
        assert any(key.endswith("weight_g") for key in tensors)
    model = loaded(build(name, architecture=architecture), tensors)
    encoder = getattr(reference, name, reference)
    features = torch.stack(waveforms(1200))
    states = encoder(features[:, 0]).last_hidden_state.mean(dim=1)
    torch.testing.assert_close(
        model.embed(features), model.ffnn.hidden(states), rtol=0, atol=1e-5
    )


def test_what_is_not_known_is_passed_on(name):
    model = build(name, architecture="tiny")
    adapted = model.adapted({"surprise.weight": torch.zeros(1)})
    assert "encoder.surprise.weight" in adapted
    assert "encoder.encoder.layers.x.weight" in model.adapted(
        {"encoder.layers.x.weight": torch.zeros(1)}
    )


def test_first_layers(name, architecture):
    reference = original(name, architecture)
    tensors = reference.state_dict()
    model = loaded(build(name, architecture=architecture, num_hidden_layers=2), tensors)
    reference.encoder.layers = reference.encoder.layers[:2]
    features = torch.stack(waveforms(1200))
    states = reference(features[:, 0]).last_hidden_state.mean(dim=1)
    torch.testing.assert_close(
        model.embed(features), model.ffnn.hidden(states), rtol=0, atol=1e-5
    )


def test_convolutions_published_without_bias_get_one_of_zero():
    # As the original weights of HuBERT Large.
    cls = MODELS.get("hubert")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, "architectures", TINY)
        model = build("hubert", architecture="tiny-norm")
    tensors = original("hubert", "tiny-norm").state_dict()
    bare = {key: x for key, x in tensors.items() if not key.endswith(".conv.bias")}
    bare["encoder.pos_conv_embed.conv.bias"] = tensors[
        "encoder.pos_conv_embed.conv.bias"
    ]
    loaded(model, bare)
    layer = model.encoder.feature_extractor.conv_layers[0]
    assert not layer.conv.bias.any()
    damaged = dict(tensors)
    del damaged["feature_extractor.conv_layers.3.conv.bias"]
    with pytest.raises(RuntimeError, match=r"conv_layers\.3\.conv\.bias"):
        loaded(model, damaged)


def test_gradients_reach_every_parameter_and_are_deterministic(name, architecture):
    features, lengths = torch.stack(waveforms(1200, 1200)), torch.tensor([1200, 900])
    gradients = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            model = build(name, architecture=architecture).train()
            model(features, lengths).square().sum().backward()
            gradients.append({k: p.grad for k, p in model.named_parameters()})
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(grad is not None for grad in gradients[0].values())
    assert all(torch.equal(gradients[0][k], gradients[1][k]) for k in gradients[0])


def test_numpy_draws_nothing(name):
    before = np.random.get_state()  # noqa: NPY002
    model = build(name, architecture="tiny").train()
    model(torch.stack(waveforms(1200)))
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(x, y) for x, y in zip(before, after, strict=True))


def test_every_parameter_is_of_one_block_or_the_head(name, architecture):
    model = build(name, architecture=architecture)
    groups = [*structure.blocks(model), structure.head(model)]
    for key, _ in model.named_parameters():
        assert sum(structure.is_under(key, group) for group in groups) == 1
    front = [k for k, _ in structure.parameters(model, structure.blocks(model)[0])]
    convolutions = [
        f"encoder.feature_extractor.{k}"
        for k, _ in model.encoder.feature_extractor.named_parameters()
    ]
    assert structure.extractor(model) == 1
    assert front == convolutions
    assert len(structure.blocks(model)) == 2 + 3


@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_has_the_size_of_the_original(name):
    model = MODELS.get(name)
    for architecture, settings in model.architectures.items():
        config = getattr(transformers, f"{STEMS[name]}Config")(
            **settings, mask_time_prob=0
        )
        with torch.device("meta"):
            ours = build(name, architecture=architecture)
            theirs = getattr(transformers, f"{STEMS[name]}Model")(config)
        assert size(ours.encoder) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_sources_fit_their_architecture(name):
    model = MODELS.get(name)
    for key, source in model.sources().items():
        assert key == source.name
        assert source.rate == 16000
        assert f"/{key}/resolve/" in source.url
        assert set(source.arguments) <= set(inspect.signature(model).parameters)
        with torch.device("meta"):
            encoder = build(name, **source.arguments).encoder
        if source.size:
            number = size(encoder) + BESIDES[key]
            # The rest are names: below 500 bytes for each tensor.
            assert 0 < source.size - 4 * number < 500 * len(encoder.state_dict())


def test_base_has_the_size_that_is_published():
    with torch.device("meta"):
        encoder = build("hubert").encoder
    assert size(encoder) + 768 == 94_371_712  # with masked_spec_embed


def size(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (2, 1600)}, r"takes a waveform \(1, samples\).* \(2, 1600\); end"),
        ({"shape": (1, 64, 51)}, r"takes a waveform \(1, samples\)"),
        ({"rate": 44100}, r"at 16000 Hz, but they have 44100 Hz; set preprocess"),
    ],
)
def test_clips_that_do_not_fit_are_refused(name, arguments, message):
    with pytest.raises(ModelError, match=f"model '{name}' {'.*'}{message}"):
        build(name, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "lrge"}, "unknown architecture 'lrge'. Did you mean 'large'"),
        ({"num_hidden_layers": 13}, "expected 1 to 12, not 13"),
        ({"num_hidden_layers": 0}, "expected 1 to 12, not 0"),
        ({"num_layers": 0}, "num_layers: expected 1 or more, not 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with torch.device("meta"), pytest.raises(ParamsError, match=message):
        build("wav2vec2", **arguments)


def test_a_rate_that_nobody_knows_is_taken(name):
    assert build(name, architecture="tiny", rate=0)


def test_one_linear_layer_sees_the_states_themselves(name):
    model = build(name, architecture="tiny", num_layers=1).eval()
    features = torch.stack(waveforms(1200))
    assert model.embed(features).shape == (1, 32)
    assert model(features).shape == (1, 5)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ParamsError, match=r"pip install 'rehear\[transformers\]'"):
        transformer.library("wav2vec2")


def test_importing_the_models_does_not_import_transformers():
    code = (
        "import sys, rehear.models.wav2vec2, rehear.models.whisper, "
        "rehear.models.audio_spectrogram_transformer; "
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
