"""ECAPA-TDNN against SpeechBrain's own classes, and padding."""

import subprocess
import sys

import pytest
import torch

from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, ecapa, structure

SMALL = {
    "channels": [16, 16, 16, 16, 24],
    "attention_channels": 8,
    "se_channels": 8,
    "embedding_size": 12,
}
LENGTHS = (4800, 3199, 3200, 641)


def build(**spec):
    torch.manual_seed(0)
    spec = {"name": "ecapa_tdnn", **SMALL, **spec}
    given = {"num_outputs": 4, "input_shape": (1, 4800), "sample_rate": 16000}
    return MODELS.build(spec, **given)


def unlike_at_first(model):
    """Fill what starts as zeros and ones, so that a forgotten term shows."""
    for name, value in model.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point() and value.ndim == 1:
            value.normal_(0, 0.3)
    return model.eval()


def batch():
    """Clips padded with zeros; one with a click at its end, after its last frame."""
    x = torch.randn(len(LENGTHS), 1, max(LENGTHS)) / 10
    for clip, length in zip(x, LENGTHS, strict=True):
        clip[:, length:] = 0
    x[1, 0, LENGTHS[1] - 1] = 100.0
    return x, torch.tensor(LENGTHS)


def reference(weights=None):
    """The encoder and its front end, of SpeechBrain's own classes alone."""
    build()  # before it is imported here, so that it leaves torch's settings alone
    from speechbrain.lobes.features import Fbank
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
    from speechbrain.processing.features import InputNormalization

    sizes = {**SMALL, "lin_neurons": SMALL["embedding_size"]}
    del sizes["embedding_size"]
    encoder = ECAPA_TDNN(80, **sizes).eval()
    if weights is not None:
        encoder.load_state_dict(weights)
    fbank = Fbank(n_mels=80)
    normalise = InputNormalization(norm_type="sentence", std_norm=False)

    def embed(wave, lengths=None):
        lengths = torch.ones(len(wave)) if lengths is None else lengths
        return encoder(normalise(fbank(wave), lengths), lengths).squeeze(1)

    return encoder, embed


def test_it_embeds_as_speechbrain_does():
    model = unlike_at_first(build(num_layers=1))
    _, embed = reference(model.encoder.state_dict())
    x, lengths = batch()
    torch.testing.assert_close(model.embed(x), embed(x[:, 0]), rtol=1e-5, atol=1e-5)
    embedded = model.embed(x, lengths)
    for clip, length, mine in zip(x, LENGTHS, embedded, strict=True):
        torch.testing.assert_close(
            mine, embed(clip[:, :length])[0], rtol=1e-5, atol=1e-5
        )
    whole = embed(x[:, 0], lengths / max(LENGTHS))[0]  # of the clip that is not padded
    torch.testing.assert_close(embedded[0], whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [[8, 16, 16, 24], [16, 16, 16, 16, 16, 24]])
def test_other_sizes_embed_as_speechbrain_does(channels):
    layers = len(channels) - 1
    sizes = {
        "channels": channels,
        "kernel_sizes": [5, *[3] * (layers - 1), 3],
        "dilations": [2, *range(1, layers), 1],
        "res2net_scale": 4,
    }
    model = unlike_at_first(build(num_layers=1, **sizes))
    original = type(model.encoder)(
        80, **sizes, attention_channels=8, se_channels=8, lin_neurons=12
    )
    original.load_state_dict(model.encoder.state_dict())
    bands = torch.randn(2, 40, 80)
    torch.testing.assert_close(
        model._encoded(bands, None),
        original.eval()(bands).squeeze(1),
        rtol=1e-5,
        atol=1e-5,
    )


def test_padding_changes_nothing():
    model = unlike_at_first(build())
    x, lengths = batch()
    outputs, embedded = model(x, lengths), model.embed(x, lengths)
    for i, length in enumerate(LENGTHS):
        alone = x[i : i + 1, :, :length]
        torch.testing.assert_close(outputs[i], model(alone)[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            embedded[i], model.embed(alone)[0], rtol=1e-5, atol=1e-5
        )


def test_clips_shorter_than_their_mirror_are_embedded_all_the_same():
    model = unlike_at_first(build())
    x = torch.randn(2, 1, 1600)
    x[1, :, 100:] = 0
    together = model(x, torch.tensor([1600, 100]))[1]
    torch.testing.assert_close(together, model(x[1:, :, :100])[0], rtol=1e-5, atol=1e-5)


def test_speechbrains_checkpoint_fits_by_its_names(tmp_path):
    encoder, _ = reference()
    torch.save(encoder.state_dict(), tmp_path / "embedding_model.ckpt")
    tensors = torch.load(  # noqa: TID251 - as the program reads published weights
        tmp_path / "embedding_model.ckpt", weights_only=True
    )
    model = build()
    missing, unexpected = model.load_state_dict(model.adapted(tensors), strict=False)
    assert unexpected == []
    assert missing
    assert all(structure.is_under(name, structure.head(model)) for name in missing)
    assert torch.equal(
        model.encoder.fc.conv.weight, encoder.state_dict()["fc.conv.weight"]
    )


def test_by_default_it_has_the_size_of_the_published_weights():
    with torch.device("meta"):
        model = MODELS.build(
            "ecapa_tdnn", num_outputs=4, input_shape=(1, 16000), sample_rate=16000
        )
    tensors = model.encoder.state_dict()
    assert len(tensors) == 231
    assert sum(p.numel() for p in model.encoder.parameters()) == 20_767_552
    (source,) = type(model).sources().values()
    assert 4 * sum(t.numel() for t in tensors.values()) < source.size
    assert source.rate == 16000
    assert source.url.startswith("https://huggingface.co/speechbrain/spkrec-ecapa")


def test_the_embedding_is_what_the_head_sees():
    model = build(hidden_size=6).eval()
    x, lengths = batch()
    assert model.embed(x, lengths).shape == (4, 6)
    assert torch.equal(model.ffnn.head(model.embed(x, lengths)), model(x, lengths))


def test_gradients_reach_all_weights_deterministically():
    torch.use_deterministic_algorithms(True)
    try:
        model = build(dropout=0.0)
        model(*batch()).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(p.grad is not None for p in model.parameters())
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_batch_may_be_of_one_clip():
    model = build()
    before = model.encoder.asp_bn.norm.running_mean.clone()
    assert model(batch()[0][:1]).isfinite().all()
    assert torch.equal(model.encoder.asp_bn.norm.running_mean, before)


def test_a_silent_clip_gives_numbers():
    model = build()
    x, lengths = batch()
    x[2] = 0
    outputs = model(x, lengths)
    outputs.sum().backward()
    assert outputs.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_each_weight_is_of_one_group():
    model = build()
    groups = [*structure.blocks(model), structure.head(model)]
    for name, _ in model.named_parameters():
        assert sum(structure.is_under(name, group) for group in groups) == 1
    assert groups[0] == ("encoder.blocks.0",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_shape": (2, 4800)}, r"takes a waveform .* \(2, 4800\); end .* mono"),
        ({"input_shape": (1, 80, 51)}, "without a spectrogram"),
        ({"sample_rate": 44100}, "takes waveforms at 16000 Hz, but they have 44100 Hz"),
    ],
)
def test_features_that_do_not_fit_are_refused(given, message):
    fitting = {"num_outputs": 4, "input_shape": (1, 4800), "sample_rate": 16000}
    with pytest.raises(ModelError, match=message):
        MODELS.build("ecapa_tdnn", **{**fitting, **given})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"dilations": [1, 2, 3]}, "one value for each layer, at least 3, not 5, 5 an"),
        ({"channels": [16, 16, 24, 16, 24]}, "have to be equal.* not 16, 24, 16 with"),
        ({"res2net_scale": 5}, "a multiple of res2net_scale"),
        ({"res2net_scale": 1}, r"\(2 or more\)"),
        ({"channels": 1024}, "channels: expected a list of whole numbers, found 1024"),
        ({"channels": [64, 64, 64, 64, "x"]}, "channels: expected a list of whole num"),
        ({"embedding_size": 0}, "embedding_size: expected 1 or more, not 0"),
        ({"attention_channels": -1}, "attention_channels: expected 1 or more"),
        ({"se_channels": 0}, "se_channels: expected 1 or more"),
        ({"channels": [0, 8, 8, 8, 8]}, "channels: expected 1 or more"),
        ({"dilations": [1, 0, 3, 4, 1]}, "dilations: expected 1 or more"),
        ({"kernel_sizes": [5, 3, 2, 3, 1]}, r"have to be odd, not \[5, 3, 2, 3, 1\]"),
    ],
)
def test_layers_that_do_not_fit_together_are_refused(spec, message):
    with pytest.raises(ParamsError, match=message):
        build(**spec)


def test_a_missing_speechbrain_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("speechbrain")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "speechbrain", None)
    with pytest.raises(ParamsError, match=r"pip install 'rehear\[speechbrain\]'"):
        build()


@pytest.mark.slow
def test_speechbrain_changes_no_setting_of_torch():
    code = """
import os, torch
from rehear.models import MODELS
flags = lambda: (
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32,
    torch.get_float32_matmul_precision(), torch._C._get_graph_executor_optimize(),
    torch._C._jit_set_profiling_executor(True), os.environ.get("SB_DISABLE_QUIRKS"),
)
before = flags()
given = dict(num_outputs=4, input_shape=(1, 4800), sample_rate=16000)
with torch.device("meta"):
    MODELS.build("ecapa_tdnn", **given)
assert flags() == before, (before, flags())
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_speechbrain_leaves_no_modules_that_raise_when_looked_at():
    pytest.importorskip("speechbrain")
    ecapa.import_speechbrain()
    for module in list(sys.modules.values()):
        hasattr(module, "__wrapped__")
