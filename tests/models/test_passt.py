"""PaSST against the package of its authors."""

import sys
import warnings

import pytest
import torch

from rehear import checkpoint, pretrained
from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, structure

SHAPE = (1, 16000)
FRAMES = 998  # of the published positions


def build(**spec):
    pytest.importorskip("hear21passt")
    torch.manual_seed(0)
    spec = {"name": "passt", "num_hidden_layers": 1, **spec}
    given = {"num_outputs": 4, "input_shape": SHAPE, "sample_rate": 32000}
    return MODELS.build(spec, **given)


def original(*, num_outputs=4, stride=10):
    """The front end and the network as the package puts them together."""
    from hear21passt.models.passt import PaSST
    from hear21passt.models.preprocess import AugmentMelSTFT
    from hear21passt.wrapper import PasstBasicWrapper

    mel = AugmentMelSTFT(fmax=15000, fmin_aug_range=10, fmax_aug_range=2000)
    net = PaSST(
        num_classes=num_outputs,
        distilled=True,
        depth=2,
        stride=stride,
        img_size=(128, FRAMES),
    )
    unlike_at_first(net)
    return PasstBasicWrapper(mel, net, mode="all").eval()


def unlike_at_first(net):
    """Fill what starts as zeros and ones, so that a forgotten term shows."""
    for value in net.state_dict().values():
        if value.ndim == 1:
            value.normal_(0, 0.3)


def expected(model, waveform):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old names, and of sizes
        return model(waveform[:, 0]).split([4, 768], dim=1)


@pytest.mark.parametrize("stride", [10, 16])
def test_it_gives_what_the_original_gives(stride, tmp_path):
    model = build(num_hidden_layers=2, stride=stride)
    theirs = original(stride=stride)
    torch.save(theirs.net.state_dict(), tmp_path / "official.pt")
    tensors = checkpoint.read_foreign(tmp_path / "official.pt")
    pretrained.fit(model, tensors, name="official", keep_head=True)
    waveform = torch.randn(2, *SHAPE) / 10
    outputs, embedded = expected(theirs, waveform)
    model.eval()
    torch.testing.assert_close(model(waveform), outputs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.embed(waveform), embedded, rtol=1e-5, atol=1e-5)


def test_official_weights_fit_and_leave_the_head():
    theirs = original_weights()
    model = build()
    head = model.head[1].weight.clone()
    pretrained.fit(model, theirs, name="official")
    assert torch.equal(model.head[1].weight, head)
    assert torch.equal(model.encoder.norm.weight, theirs["norm.weight"])
    positions = theirs["time_new_pos_embed"]
    assert positions.shape[-1] == 99
    assert torch.equal(model.encoder.time_new_pos_embed, positions[..., :4])
    pretrained.fit(build(num_hidden_layers=2), theirs, name="official")


def original_weights():
    build()
    return original(num_outputs=527).net.state_dict()


def test_weights_that_do_not_fit_are_refused():
    theirs = original_weights()
    with pytest.raises(ModelError, match=r"lacks encoder\.blocks\.2\."):
        pretrained.fit(build(num_hidden_layers=3), theirs, name="official")
    with pytest.raises(ModelError, match="has besides encoder.pos_embed"):
        more = {**theirs, "pos_embed": torch.zeros(1)}
        pretrained.fit(build(), more, name="official")
    with pytest.raises(ModelError, match=r"other shapes .*freq_new_pos_embed"):
        pretrained.fit(build(stride=16), theirs, name="official")
    short = {**theirs, "time_new_pos_embed": torch.zeros(1, 768, 1, 3)}
    with pytest.raises(ModelError, match=r"other shapes .*time_new_pos_embed"):
        pretrained.fit(build(), short, name="official")


@pytest.mark.slow
def test_all_layers_have_the_sizes_of_the_published_files():
    clip = (1, 320000)
    pytest.importorskip("hear21passt")
    given = {"num_outputs": 527, "input_shape": clip, "sample_rate": 32000}
    with torch.device("meta"):
        model = MODELS.build("passt", **given)
    assert model.encoder.time_new_pos_embed.shape[-1] == 99
    size = sum(p.numel() for p in model.parameters())
    second_head = 768 * 527 + 527
    published = MODELS.get("passt").sources()["passt-s-f128-p16-s10-ap.476-swa"].size
    assert 0 < published - 4 * (size + second_head) < 200_000  # names


def test_it_can_be_built_without_numbers():
    with torch.device("meta"):
        model = build(num_hidden_layers=1)
    assert all(p.is_meta for p in model.parameters())


def test_gradients_reach_all_and_training_is_deterministic():
    model = build(s_patchout_t=3, s_patchout_f=2).train()
    x = torch.randn(2, *SHAPE) / 10
    torch.use_deterministic_algorithms(True)
    try:
        model(x).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(p.grad is not None for p in model.parameters())


def test_patchout_leaves_patches_out_while_training_only():
    model = build(s_patchout_t=3, s_patchout_f=2)
    seen = []
    model.encoder.pos_drop.register_forward_hook(lambda *a: seen.append(a[2].shape[1]))
    x = torch.randn(1, *SHAPE) / 10
    model.train()
    torch.manual_seed(1)
    first, second = model(x), model(x)
    torch.manual_seed(1)
    assert torch.equal(model(x), first)
    assert not torch.equal(first, second)
    model.eval()
    state = torch.get_rng_state()
    assert torch.equal(model(x), model(x))
    assert torch.equal(torch.get_rng_state(), state)
    assert seen == [2 + (4 - 3) * (12 - 2)] * 3 + [2 + 4 * 12] * 2


def test_it_prints_nothing(capsys):
    build()
    sys.modules["hear21passt.models.passt"].first_RUN = True  # as at its start
    model = build(num_hidden_layers=1)
    model(torch.zeros(1, *SHAPE))
    model(torch.zeros(1, 1, 8000))
    assert capsys.readouterr() == ("", "")


def test_every_parameter_is_in_one_block_or_the_head():
    model = build()
    groups = [*structure.blocks(model), structure.head(model)]
    for name, _ in model.named_parameters():
        assert sum(structure.is_under(name, group) for group in groups) == 1
    assert len(model.blocks) == 2


def test_the_embedding_is_what_the_head_sees():
    model = build().eval()
    x = torch.randn(2, *SHAPE) / 10
    embedded = model.embed(x)
    assert embedded.shape == (2, 768)
    assert torch.equal(model.head(embedded), model(x))
    assert torch.equal(model.decode(model.encode(x)), model(x))


def test_the_shortest_clip_is_one_patch_long():
    pytest.importorskip("hear21passt")
    given = {"num_outputs": 2, "sample_rate": 0}
    spec = {"name": "passt", "num_hidden_layers": 1}
    model = MODELS.build(spec, input_shape=(1, 4801), **given)
    assert model.encoder.time_new_pos_embed.shape[-1] == 1
    assert model(torch.zeros(1, 1, 4801)).shape == (1, 2)
    with pytest.raises(ModelError, match="at least 4801 samples"):
        MODELS.build(spec, input_shape=(1, 4800), **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_shape": (2, 16000)}, r"takes a waveform \(1, samples\) .* \(2, 16000"),
        ({"input_shape": (1, 64, 51)}, "end preprocess.transforms with mono and fit"),
        ({"sample_rate": 16000}, "preprocess.sample_rate to 32000"),
    ],
)
def test_what_does_not_fit_is_refused(given, message):
    given = {"num_outputs": 2, "input_shape": SHAPE, "sample_rate": 32000, **given}
    with pytest.raises(ModelError, match=message):
        MODELS.build("passt", **given)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"stride": 17}, "stride: expected 1 to 16, not 17"),
        ({"s_patchout_t": 4}, "s_patchout_t: expected 0 to 3, since clips have 4"),
        ({"s_patchout_f": -1}, "s_patchout_f: expected 0 to 11"),
        ({"num_hidden_layers": 13}, "num_hidden_layers: expected 1 to 12, not 13"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(spec, message):
    given = {"num_outputs": 2, "input_shape": SHAPE, "sample_rate": 32000}
    with pytest.raises(ParamsError, match=message):
        MODELS.build({"name": "passt", **spec}, **given)


def test_a_missing_library_is_named(monkeypatch):
    for name in [n for n in sys.modules if n.startswith("hear21passt")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hear21passt", None)
    given = {"num_outputs": 2, "input_shape": SHAPE, "sample_rate": 32000}
    with pytest.raises(ParamsError, match=r"'passt' needs .*rehear\[passt\]"):
        MODELS.build("passt", **given)


def test_published_files_are_named_by_release():
    for name, source in MODELS.get("passt").sources().items():
        assert source.url.startswith("https://github.com/kkoutini/PaSST/releases/")
        assert source.url.endswith(f"/{name}.pt")
        assert source.arguments.keys() <= MODELS.signature("passt").keys()
