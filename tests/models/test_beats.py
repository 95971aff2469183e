"""BEATs against SpeechBrain's own class, official files, and padding."""

import sys

import numpy as np
import pytest
import torch
from torchaudio.compliance import kaldi

from rehear import checkpoint, pretrained
from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, beats, structure

LENGTHS = (5360, 5359, 2800, 900)  # the second fills one row of patches less


def build(**spec):
    torch.manual_seed(0)
    spec = {"name": "beats", "num_hidden_layers": 1, **spec}
    given = {"num_outputs": 4, "input_shape": (1, 8000), "sample_rate": 16000}
    return MODELS.build(spec, **given)


def unlike_at_first(model):
    """Fill what starts as zeros and ones, so that a forgotten term shows."""
    for value in model.state_dict().values():
        if value.ndim == 1 or value.shape[-2:] == (1, 1):
            value.normal_(0, 0.3)
    model.encoder.layers[0].self_attn.relative_attention_bias.weight.data.normal_()
    return model.eval()


def batch():
    x = torch.randn(len(LENGTHS), 1, max(LENGTHS)) / 10
    for clip, length in zip(x, LENGTHS, strict=True):
        clip[:, length:] = 0
    return x, torch.tensor(LENGTHS)


def original(folder, weights, *, layers=1, label_count=0):
    """SpeechBrain's class, which takes its settings from a file only.

    Its weights are those of ``weights`` by the names of published files, which hold
    the bias of attention of all layers, and one weight under its former names.
    """
    from speechbrain.lobes.models import beats as library

    cfg = {**beats._PUBLISHED, "encoder_layers": layers, "encoder_layerdrop": 0.05}
    if label_count:
        cfg |= {"finetuned_model": True, "predictor_class": label_count}
    weights = dict(weights)
    for i in range(layers):
        name = f"encoder.layers.{i}{beats._BIAS}"
        weights[name] = weights[f"encoder.layers.0{beats._BIAS}"]
    for old, new in beats._RENAMED.items():
        weights[old] = weights.pop(new)
    path = folder / "official.pt"
    torch.save({"cfg": cfg, "model": weights, "label_dict": {0: "/m/09x0r"}}, path)
    model = library.BEATs(str(path))
    for layer in model.encoder.layers:
        layer.deep_norm_alpha = (2 * beats.LAYERS) ** 0.25  # of the whole encoder
    return model, path


def body(model):
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not structure.is_under(name, model.head_modules)
    }


def test_it_encodes_as_speechbrain_does(tmp_path):
    model = unlike_at_first(build(num_hidden_layers=2))
    theirs, _ = original(tmp_path, body(model), layers=2)
    wave = torch.randn(2, 6000) / 10
    whole = torch.ones(2)
    expected = theirs(wave, whole)[0].mean(dim=1)
    encoded = model.encode(wave[:, None])
    torch.testing.assert_close(encoded, expected, rtol=1e-5, atol=1e-5)
    own = sum(p.numel() for p in theirs.parameters())
    assert sum(v.numel() for v in body(model).values()) == own


@pytest.mark.slow
def test_all_layers_encode_as_speechbrain_does(tmp_path):
    model = unlike_at_first(build(num_hidden_layers=beats.LAYERS))
    theirs, path = original(tmp_path, body(model), layers=beats.LAYERS)
    del theirs  # with what was set in it
    wave = torch.randn(1, 16000) / 10
    encoded = model.encode(wave[:, None])
    theirs = sys.modules["speechbrain.lobes.models.beats"].BEATs(str(path))
    expected = theirs(wave, torch.ones(1))[0].mean(dim=1)
    torch.testing.assert_close(encoded, expected, rtol=1e-5, atol=1e-5)


def test_all_layers_have_the_sizes_of_the_published_files():
    with torch.device("meta"):
        model = build(num_hidden_layers=beats.LAYERS)
    assert all(p.is_meta for p in model.parameters())
    tensors = body(model)
    assert len(tensors) + beats.LAYERS - 1 == 250
    copied = (beats.LAYERS - 1) * tensors[f"encoder.layers.0{beats._BIAS}"].numel()
    size = 4 * (sum(t.numel() for t in tensors.values()) + copied)
    assert 0 < 361499833 - size < 200_000  # names and settings


def test_bands_are_those_of_kaldi():
    wave = torch.randn(3, 4111) / 10
    bands = beats._bands(wave)
    for clip, mine in zip(wave, bands, strict=True):
        alone = kaldi.fbank(
            clip[None] * 2**15,
            num_mel_bins=128,
            sample_frequency=16000,
            frame_length=25,
            frame_shift=10,
        )
        expected = (alone - 15.41663) / (2 * 6.55582)
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_official_weights_fit_and_leave_the_head(tmp_path, num_layers):
    source = unlike_at_first(build())
    _, path = original(tmp_path, body(source))
    model = build(num_layers=num_layers)
    tensors = checkpoint.read_foreign(path, entry="model")
    head = model.ffnn.head.weight.clone()
    pretrained.fit(model, tensors, name="official")
    assert torch.equal(model.ffnn.head.weight, head)
    for name, tensor in body(model).items():
        assert torch.equal(tensor, source.state_dict()[name])


def test_the_layer_fine_tuned_on_audioset_is_the_head(tmp_path):
    source = unlike_at_first(build(num_layers=1))
    named = {
        f"predictor.{key}": value
        for key, value in source.ffnn.head.state_dict().items()
    }
    theirs, path = original(tmp_path, {**body(source), **named}, label_count=4)
    model = build(num_layers=1).eval()
    tensors = checkpoint.read_foreign(path, entry="model")
    pretrained.fit(model, tensors, name="official", keep_head=True)
    wave = torch.randn(1, 6000) / 10
    _, scores, _ = theirs(wave, torch.ones(1))
    outputs = model(wave[:, None]).sigmoid()
    torch.testing.assert_close(outputs, scores, rtol=1e-5, atol=1e-5)
    pretrained.fit(build(), tensors, name="official")
    with pytest.raises(
        ModelError, match="lacks ffnn.hidden.0.bias, ffnn.hidden.0.weight"
    ):
        pretrained.fit(build(), tensors, name="official", keep_head=True)


def test_the_first_layers_of_official_weights_can_be_taken(tmp_path):
    source = unlike_at_first(build(num_hidden_layers=2))
    _, path = original(tmp_path, body(source), layers=2)
    model = build(num_hidden_layers=1)
    tensors = checkpoint.read_foreign(path, entry="model")
    pretrained.fit(model, tensors, name="official")
    with pytest.raises(ModelError, match=r"it lacks encoder\.layers\.2\."):
        pretrained.fit(build(num_hidden_layers=3), tensors, name="official")
    with pytest.raises(ModelError, match="it has besides mask_emb"):
        more = {**tensors, "mask_emb": torch.zeros(768)}
        pretrained.fit(model, more, name="official")


def test_padding_changes_nothing():
    model = unlike_at_first(build())
    x, lengths = batch()
    x[2, 0, 2800:] = 1.0  # what pads is not even looked at
    encoded = model.encode(x, lengths)
    for i, length in enumerate(LENGTHS):
        alone = model.encode(x[i : i + 1, :, :length])
        torch.testing.assert_close(encoded[i], alone[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(model(x, lengths), model.decode(encoded))
    assert torch.equal(model.embed(x, lengths), model.ffnn.hidden(encoded))


def test_training_is_deterministic_and_draws_nothing_of_numpys():
    model = build(dropout=0.0).train()
    x, lengths = batch()
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - libraries draw from it
    torch.use_deterministic_algorithms(True)
    try:
        outputs = model(x, lengths)
        outputs.square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(outputs, model.eval()(x, lengths))
    after = np.random.get_state()[1]  # noqa: NPY002
    assert np.array_equal(before, after)
    assert all(p.grad is not None for p in model.parameters())
    assert model.encoder.layers[0].self_attn.grep_a.grad.abs().sum() > 0


def test_every_parameter_is_in_one_block_or_the_head():
    model = build()
    groups = [*structure.blocks(model), structure.head(model)]
    for name, _ in model.named_parameters():
        assert sum(structure.is_under(name, group) for group in groups) == 1
    assert len(model.blocks) == 3


def test_the_embedding_is_what_the_head_sees():
    model = build().eval()
    x = torch.randn(2, 1, 4000)
    embedded = model.embed(x)
    assert embedded.shape == (2, 512)
    assert torch.equal(model.ffnn.head(embedded), model(x))
    assert torch.equal(model.decode(model.encode(x)), model(x))
    assert build(num_layers=1).embed(x).shape == (2, 768)


def test_published_files_are_pinned():
    for name, source in MODELS.get("beats").sources().items():
        assert source.url.endswith(f"{name}.pt")
        assert "/resolve/main/" not in source.url
        assert len(source.sha256) == 64
        assert (source.entry, source.rate, source.licence) == ("model", 16000, "MIT")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"input_shape": (2, 8000)},
            r"takes a waveform \(1, samples\), but .* \(2, 8000",
        ),
        ({"input_shape": (1, 64, 51)}, "without a spectrogram"),
        ({"sample_rate": 32000}, "preprocess.sample_rate to 16000"),
    ],
)
def test_what_does_not_fit_is_refused(given, message):
    given = {"num_outputs": 2, "input_shape": (1, 8000), "sample_rate": 16000, **given}
    with pytest.raises(ModelError, match=message):
        MODELS.build("beats", **given)


def test_more_layers_than_there_are_are_refused():
    with pytest.raises(
        ParamsError, match="num_hidden_layers: expected 1 to 12, not 13"
    ):
        build(num_hidden_layers=13)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "speechbrain", None)
    monkeypatch.delitem(sys.modules, "rehear.models.beats", raising=False)
    with pytest.raises(ParamsError, match=r"'beats' needs .*rehear\[speechbrain\]"):
        build()
