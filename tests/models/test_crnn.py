"""End2You's convolutions against their description, and padding."""

import pytest
import torch
from torch.nn import functional

from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, structure

SHORTEST = {"emo18": 731, "zhao19": 256}
LAYERS = {  # channels, kernel, zeros at each end, pooled
    "emo18": ((64, 8, 3, 10), (128, 6, 2, 8), (256, 6, 2, 8)),
    "zhao19": ((64, 3, 1, 4), (64, 3, 1, 4), (128, 3, 1, 4), (128, 3, 1, 4)),
}
ACTIVATIONS = {"emo18": functional.leaky_relu, "zhao19": functional.elu}


@pytest.fixture(params=sorted(LAYERS))
def architecture(request):
    return request.param


def build(architecture, samples=4000, **spec):
    torch.manual_seed(0)
    spec = {"name": "crnn", "architecture": architecture, "hidden_size": 8, **spec}
    return MODELS.build(spec, num_outputs=4, input_shape=(1, samples))


def unlike_at_first(model):
    """Fill what starts as zeros and ones, so that a forgotten term shows."""
    for name, value in model.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point() and value.ndim == 1:
            value.normal_(0, 0.3)
    return model.eval()


def expected(model, architecture, x):
    """The network as its authors describe it, in their order of layers."""
    weights = model.state_dict()
    for i, (channels, kernel, zeros, pooled) in enumerate(LAYERS[architecture]):
        block = f"convolutions.{i}"
        kernels = weights[f"{block}.conv.weight"]
        assert kernels.shape[0] == channels
        assert kernels.shape[2] == kernel
        x = functional.conv1d(x, kernels, weights[f"{block}.conv.bias"], padding=zeros)
        keys = ("running_mean", "running_var", "weight", "bias")
        x = functional.batch_norm(x, *(weights[f"{block}.bn.{k}"] for k in keys))
        x = functional.max_pool1d(ACTIVATIONS[architecture](x), pooled)
    states, _ = model.recurrent.layers(x.transpose(1, 2))
    pooled = states.mean(dim=1)
    return functional.linear(pooled, weights["head.weight"], weights["head.bias"])


@pytest.mark.parametrize("bidirectional", [True, False])
def test_it_computes_what_its_authors_describe(architecture, bidirectional):
    model = unlike_at_first(build(architecture, bidirectional=bidirectional))
    x = torch.randn(2, 1, 4000)
    torch.testing.assert_close(
        model(x), expected(model, architecture, x), rtol=1e-5, atol=1e-6
    )


def test_it_has_the_size_of_the_reference(architecture):
    with torch.device("meta"):
        model = build(architecture, hidden_size=256)
    before, size = 1, 0
    for channels, kernel, *_ in LAYERS[architecture]:
        size += channels * (before * kernel + 3)
        before = channels
    size += 4 * 256 * (before + 256 + 2) + 4 * 256 * (256 + 256 + 2) + 4 * 257
    assert sum(p.numel() for p in model.parameters()) == size


@pytest.mark.parametrize("spec", [{}, {"bidirectional": True, "cell": "gru"}])
def test_padding_changes_nothing(architecture, spec):
    model = unlike_at_first(build(architecture, **spec))
    lengths = torch.tensor([4000, SHORTEST[architecture], 3217, 2639, 2640, 2641])
    x = torch.randn(len(lengths), 1, 4000)
    for clip, length in zip(x, lengths, strict=True):
        clip[:, length:] = 0
    outputs, embedded = model(x, lengths), model.embed(x, lengths)
    for i, length in enumerate(lengths):
        alone = x[i : i + 1, :, :length]
        torch.testing.assert_close(outputs[i], model(alone)[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            embedded[i], model.embed(alone)[0], rtol=1e-5, atol=1e-6
        )


def test_the_embedding_is_what_the_head_sees(architecture):
    model = build(architecture, bidirectional=True).eval()
    x = torch.randn(2, 1, 4000)
    assert model.embed(x).shape == (2, 16)
    assert torch.equal(model.head(model.embed(x)), model(x))


def test_gradients_reach_all_weights_deterministically(architecture):
    torch.use_deterministic_algorithms(True)
    try:
        model = build(architecture, bidirectional=True)
        lengths = torch.tensor([4000, 1500])
        model(torch.randn(2, 1, 4000), lengths).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(p.grad is not None for p in model.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.convolutions.parameters())


def test_each_weight_is_of_one_group(architecture):
    model = build(architecture)
    groups = [*structure.blocks(model), structure.head(model)]
    for name, _ in model.named_parameters():
        assert sum(structure.is_under(name, group) for group in groups) == 1
    assert structure.extractor(model) == len(LAYERS[architecture])


def test_clips_too_short_for_a_frame_are_refused(architecture):
    shortest = SHORTEST[architecture]
    model = build(architecture, samples=shortest).eval()
    assert model(torch.randn(1, 1, shortest)).isfinite().all()
    message = f"clips of {shortest} samples or more, but one has {shortest - 1}; put"
    with pytest.raises(ModelError, match=message):
        build(architecture, samples=shortest - 1)
    with pytest.raises(ModelError, match=message):
        model(torch.randn(2, 1, 4000), torch.tensor([4000, shortest - 1]))


@pytest.mark.parametrize("shape", [(2, 4000), (4000,), (1, 64, 51)])
def test_features_that_are_no_waveform_are_refused(shape):
    with pytest.raises(
        ModelError, match=r"takes a waveform \(1, samples\).* end .* mono"
    ):
        MODELS.build("crnn", num_outputs=2, input_shape=shape)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"architecture": "emo16"}, "unknown architecture 'emo16'. Did you mean 'emo1"),
        ({"cell": "rnn"}, "unknown cell 'rnn'.* Known: gru, lstm"),
    ],
)
def test_unknown_names_are_refused(spec, message):
    with pytest.raises(ParamsError, match=message):
        build(**{"architecture": "emo18", **spec})
