"""Recurrent layers against their equations, and padding."""

import pytest
import torch

from rehear.models.recurrent import Recurrent

LENGTHS = (1, 7, 4)


def make(**changes):
    torch.manual_seed(0)
    settings = {
        "cell": "lstm",
        "hidden_size": 3,
        "num_layers": 2,
        "dropout": 0.5,
        "bidirectional": True,
    }
    return Recurrent(5, **{**settings, **changes}).eval()


def lstm(x, weights, suffix):
    """States of one direction of one layer on (frames, size), by the equations."""
    state = memory = torch.zeros(weights[f"weight_hh_{suffix}"].shape[1])
    states = []
    for frame in x:
        gates = (
            weights[f"weight_ih_{suffix}"] @ frame
            + weights[f"bias_ih_{suffix}"]
            + weights[f"weight_hh_{suffix}"] @ state
            + weights[f"bias_hh_{suffix}"]
        )
        enter, forget, new, leave = gates.chunk(4)
        memory = forget.sigmoid() * memory + enter.sigmoid() * new.tanh()
        state = leave.sigmoid() * memory.tanh()
        states.append(state)
    return torch.stack(states)


def both_ways(x, weights, layer):
    back = lstm(x.flip(0), weights, f"l{layer}_reverse").flip(0)
    return torch.cat([lstm(x, weights, f"l{layer}"), back], dim=1)


@pytest.mark.parametrize("time_pooling", [True, False])
def test_clips_of_a_batch_give_what_the_equations_say(time_pooling):
    layers = make(time_pooling=time_pooling)
    weights = layers.layers.state_dict()
    x = torch.randn(3, 7, 5)
    with torch.no_grad():
        outputs = layers(x, torch.tensor(LENGTHS))
        for clip, length, output in zip(x, LENGTHS, outputs, strict=True):
            states = both_ways(both_ways(clip[:length], weights, 0), weights, 1)
            expected = torch.cat([states[-1, :3], states[0, 3:]])
            if time_pooling:
                expected = states.mean(dim=0)
            torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("time_pooling", [True, False])
def test_padding_changes_nothing(cell, bidirectional, time_pooling):
    layers = make(cell=cell, bidirectional=bidirectional, time_pooling=time_pooling)
    x = torch.randn(3, 7, 5)
    outputs = layers(x, torch.tensor(LENGTHS))
    assert outputs.shape == (3, layers.size)
    for clip, length, output in zip(x, LENGTHS, outputs, strict=True):
        torch.testing.assert_close(
            output, layers(clip[None, :length])[0], rtol=1e-5, atol=1e-6
        )


def test_padding_gets_no_gradient():
    x = torch.randn(3, 7, 5, requires_grad=True)
    make()(x, torch.tensor(LENGTHS)).square().sum().backward()
    for gradient, length in zip(x.grad, LENGTHS, strict=True):
        assert gradient[:length].abs().min() > 0
        assert not gradient[length:].any()


def test_a_single_layer_has_no_dropout_and_no_warning_of_it():
    layers = make(num_layers=1).train()
    x = torch.randn(2, 7, 5)
    assert torch.equal(layers(x), layers(x))


def test_unknown_cells_are_refused():
    with pytest.raises(ValueError, match="unknown cell 'lst'. Did you mean 'lstm'"):
        make(cell="lst")
