"""The recurrent network for features in time."""

import numpy as np
import pytest
import torch
from torch import nn

from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, structure
from rehear.transforms import TRANSFORMS

SHAPE = (1, 25, 30)


def build(shape=SHAPE, **spec):
    torch.manual_seed(0)
    spec = {"name": "seq_ffnn", **spec}
    return MODELS.build(spec, num_outputs=4, input_shape=shape)


def test_it_is_what_the_reference_presets_describe():
    """LSTM of 2 layers of 32 on 25 descriptors, mean, 32 hidden units, outputs."""
    model = build().eval()
    lstm = nn.LSTM(25, 32, 2, batch_first=True)
    linear = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4))
    reference = [*lstm.parameters(), *linear.parameters()]
    own = list(model.parameters())
    assert [p.shape for p in own] == [p.shape for p in reference]
    for mine, theirs in zip(own, reference, strict=True):
        theirs.data.copy_(mine.data)
    x = torch.randn(3, 30, 25)
    expected = linear(lstm(x)[0].mean(dim=1))
    outputs = model(x.transpose(1, 2).unsqueeze(1))
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-6)


def test_it_takes_what_opensmile_gives():
    transform = TRANSFORMS.build(
        {"name": "opensmile", "level": "lld"}, sample_rate=16000
    )
    wave = np.random.default_rng(0).normal(size=(1, 8000)).astype(np.float32) / 10
    features = transform(wave)
    assert features.shape[:2] == (1, 25)
    model = build(shape=features.shape)
    assert model(torch.from_numpy(features)[None]).shape == (1, 4)


def test_a_channel_axis_makes_no_difference():
    x = torch.randn(3, 25, 30)
    plain, one = build(shape=(25, 30)).eval(), build().eval()
    assert torch.equal(plain(x), one(x[:, None]))


@pytest.mark.parametrize("spec", [{}, {"bidirectional": True, "cell": "gru"}])
def test_padding_changes_nothing(spec):
    model = build(**spec).eval()
    lengths = torch.tensor([30, 1, 17])
    x = torch.randn(3, *SHAPE)
    outputs, embedded = model(x, lengths), model.embed(x, lengths)
    for i, length in enumerate(lengths):
        alone = x[i : i + 1, ..., :length]
        torch.testing.assert_close(outputs[i], model(alone)[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            embedded[i], model.embed(alone)[0], rtol=1e-5, atol=1e-6
        )


def test_the_embedding_is_what_the_head_sees():
    model = build(num_layers=3, hidden_size=6).eval()
    x = torch.randn(3, *SHAPE)
    assert model.embed(x).shape == (3, 6)
    assert torch.equal(model.ffnn.head(model.embed(x)), model(x))
    single = build(num_layers=1, rnn_hidden_size=7, bidirectional=True)
    assert single.embed(x).shape == (3, 14)


def test_gradients_reach_all_weights_deterministically():
    torch.use_deterministic_algorithms(True)
    try:
        model = build(bidirectional=True)
        lengths = torch.tensor([30, 2, 17])
        model(torch.randn(3, *SHAPE), lengths).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_each_weight_is_of_one_group():
    model = build()
    groups = [*structure.blocks(model), structure.head(model)]
    for name, _ in model.named_parameters():
        assert sum(structure.is_under(name, group) for group in groups) == 1


@pytest.mark.parametrize("shape", [(88,), (2, 25, 30), (1, 1, 25, 30)])
def test_features_that_are_no_frames_are_refused(shape):
    with pytest.raises(ModelError, match=r"features in time.* level: lld"):
        build(shape=shape)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"cell": "gruu"}, "unknown cell 'gruu'. Did you mean 'gru'"),
        ({"rnn_num_layers": 0}, "model 'seq_ffnn': num_layers must be greater"),
        ({"hidden": 3}, "no argument 'hidden'"),
    ],
)
def test_wrong_arguments_are_refused(spec, message):
    with pytest.raises(ParamsError, match=message):
        build(**spec)


def test_it_is_built_without_memory():
    with torch.device("meta"):
        assert build().ffnn.head.weight.is_meta
