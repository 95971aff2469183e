"""LEAF: its parts against loops and other implementations, and the whole model."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, structure
from rehear.models.filterbanks import FILTERBANKS
from rehear.models.leaf import Leaf, LeafEfficientNet
from rehear.models.pcen import Pcen, smoothed

RATE = 16000
SHAPE = (1, 4800)
TINY = {"name": "leaf", "filters": 8, "efficientnet": "test_efficientnet"}


def build(*, num_outputs=5, input_shape=SHAPE, sample_rate=RATE, **spec):
    pytest.importorskip("timm", reason="needs the extra timm")
    torch.manual_seed(0)
    given = {"num_outputs": num_outputs, "sample_rate": sample_rate}
    return MODELS.build({**TINY, **spec}, input_shape=input_shape, **given)


def waveforms(clips=2, samples=SHAPE[1]):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(clips, 1, samples, generator=generator) / 10


def shaken(module):
    """Move every parameter a little, so that no two channels are alike."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.rand(parameter.shape, generator=generator)
            parameter.mul_(0.8 + 0.4 * noise)
    return module


def looped(energy, s):
    smooth = [energy[..., 0]]
    for t in range(1, energy.shape[-1]):
        smooth.append((1 - s) * smooth[-1] + s * energy[..., t])
    return torch.stack(smooth, dim=-1)


SMOOTHING = torch.tensor([1e-4, 1e-3, 0.025, 0.5, 1.0])


@pytest.mark.parametrize("frames", [2, 63, 64, 65, 129, 900])
def test_smoothing_equals_a_loop_over_frames(frames):
    generator = torch.Generator().manual_seed(frames)
    energy = torch.rand(2, 5, frames, generator=generator) + 1e-5
    ours = [energy.requires_grad_(), SMOOTHING.clone().requires_grad_()]
    theirs = [x.detach().double().requires_grad_() for x in ours]
    found, expected = smoothed(*ours), looped(*theirs)
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=0)
    weights = torch.randn(found.shape, generator=generator)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for x, y in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x.grad, y.grad.float(), rtol=1e-4, atol=1e-5)


def test_smoothing_of_ten_thousand_frames_stays_right():
    energy = torch.rand(1, 5, 10_000) + 1e-5
    expected = looped(energy.double(), SMOOTHING.double())
    found = smoothed(energy, SMOOTHING)
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=0)


def test_smoothing_passes_the_check_of_gradients_in_double_precision():
    energy = torch.rand(1, 3, 70, dtype=torch.double, requires_grad=True)
    s = torch.tensor([1e-3, 0.3, 0.9], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(smoothed, (energy, s), fast_mode=True)


def test_smoothing_neither_forgets_nor_lasts_at_its_limits():
    energy = torch.tensor([[[1e5, 1e-5, 3.0], [1e5, 1e-5, 3.0]]])
    found = smoothed(energy, torch.tensor([0.0, 1.0]))
    assert torch.equal(found[0, 0], torch.full((3,), 1e5))
    assert torch.equal(found[0, 1], energy[0, 1])
    assert torch.equal(smoothed(energy[..., :1], torch.ones(2)), energy[..., :1])


def test_pcen_equals_librosa():
    librosa = pytest.importorskip("librosa")
    pcen = Pcen(6)
    energy = waveforms(1, 6 * 300).reshape(1, 6, 300).square()
    expected = librosa.pcen(
        energy[0].double().numpy(),
        gain=0.96,
        bias=2.0,
        power=0.5,
        b=0.04,
        eps=1e-12,
        zi=(1 - 0.04) * energy[0, :, :1].double().numpy(),
    )
    np.testing.assert_allclose(pcen(energy)[0].detach(), expected, atol=1e-5)


def test_pcen_stays_finite_wherever_its_parameters_go():
    for value in (-1.0, 0.0, 1.0, 50.0):
        pcen = Pcen(4)
        with torch.no_grad():
            for parameter in pcen.parameters():
                parameter.fill_(value)
        energy = torch.full((1, 4, 70), 1e-5).requires_grad_()
        outputs = pcen(energy)
        outputs.sum().backward()
        gradients = [energy.grad, *(p.grad for p in pcen.parameters())]
        assert all(x.isfinite().all() for x in (outputs, *gradients))


def plain(leaf, waveform):
    """LEAF by convolutions, as its paper describes it, in double precision."""
    filters, half = leaf.filters().to(torch.complex128), leaf.size // 2
    conv = torch.nn.functional.conv1d
    x = waveform.double()
    energy = conv(x, filters.real[:, None], padding=half).square()
    energy = energy + conv(x, filters.imag[:, None], padding=half).square()
    windows = leaf.windows().double()[:, None]
    pooling = {"stride": leaf.hop, "padding": half, "groups": len(windows)}
    energy = conv(energy, windows, **pooling).clamp(min=1e-5)
    p = {k: v.double()[:, None] for k, v in leaf.pcen.named_parameters()}
    smooth = looped(energy, p["s"][:, 0])
    power = 1 / p["root"]
    gained = energy / (1e-12 + smooth) ** p["alpha"].clamp(max=1)
    return ((gained + p["delta"]) ** power - p["delta"] ** power)[:, None]


@pytest.mark.parametrize("samples", [481, 1601, 3200])
@pytest.mark.parametrize("hop_ms", [10.0, 30.0])
def test_leaf_equals_plain_convolutions(samples, hop_ms):
    leaf = shaken(Leaf(sample_rate=RATE, filters=5, hop_ms=hop_ms))
    x = waveforms(2, samples)
    found, expected = leaf(x), plain(leaf, x)
    assert found.shape == (2, 1, 5, -(-samples // leaf.hop))
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
    found.square().sum().backward()
    ours = [p.grad.clone() for p in leaf.parameters()]
    leaf.zero_grad()
    plain(leaf, x).square().sum().backward()
    for gradient, parameter in zip(ours, leaf.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-3, atol=1e-4)


@pytest.fixture
def speechbrain_leaf():
    features = pytest.importorskip(
        "speechbrain.lobes.features", reason="needs the extra speechbrain"
    )
    return features.Leaf(
        16, in_channels=1, sample_rate=RATE, skip_transpose=True, min_freq=60.0
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_leaf_equals_speechbrain(speechbrain_leaf):
    theirs = speechbrain_leaf
    leaf = Leaf(
        sample_rate=RATE,
        filters=16,
        max_freq=8000,
        initialization="mel-fft",
        pooling_bias=True,
    )
    x = waveforms()
    torch.testing.assert_close(leaf(x)[:, 0], theirs(x), rtol=1e-5, atol=1e-5)
    shaken(theirs)
    weights = {
        "centers": theirs.complex_conv.kernel[:, 0],
        "widths": theirs.complex_conv.kernel[:, 1],
        "pooling": theirs.pooling.weights.flatten(),
        "pooling_bias": theirs.pooling._bias,
        "pcen.s": theirs.compression.ema._weights,
        "pcen.alpha": theirs.compression.alpha,
        "pcen.delta": theirs.compression.delta,
        "pcen.root": theirs.compression.root,
    }
    leaf.load_state_dict(weights)
    torch.testing.assert_close(leaf(x)[:, 0], theirs(x), rtol=1e-5, atol=1e-5)
    sizes = [sum(p.numel() for p in m.parameters()) for m in (leaf, theirs)]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("name", FILTERBANKS)
def test_first_filters_lie_in_the_band(name):
    torch.manual_seed(0)
    centers, bandwidths = FILTERBANKS[name](12, 60.0, 7800.0, RATE)
    low = 0 if name == "zeros" else 60
    assert centers.shape == bandwidths.shape == (12,)
    assert centers.min() >= low - 0.01
    assert centers.max() <= 7800 + 0.01
    assert (bandwidths > 0).all()
    assert (centers.diff() >= 0).all()


def test_first_filters_are_where_the_scales_put_them():
    """Computed by hand from the formulas of each scale."""
    centers, bandwidths = FILTERBANKS["mel"](3, 60.0, 7800.0, RATE)
    mels = np.linspace(*(1127 * np.log1p(f / 700) for f in (60.0, 7800.0)), 5)
    edges = 700 * np.expm1(mels / 1127)
    np.testing.assert_allclose(centers, edges[1:-1], rtol=1e-5)
    np.testing.assert_allclose(bandwidths, edges[2:] - edges[:-2], rtol=1e-5)
    centers, _ = FILTERBANKS["bark"](12, 60.0, 7800.0, RATE)
    barks = 26.81 * centers / (1960 + centers) - 0.53
    np.testing.assert_allclose(centers[[0, -1]], [60, 7800], rtol=1e-5)
    np.testing.assert_allclose(barks.diff(), barks.diff().mean(), rtol=1e-4)
    assert FILTERBANKS["constant"](2, 60.0, 7800.0, RATE)[0][0] == pytest.approx(
        math.sqrt(60 * 7800)
    )
    for name in ("constant", "linear-constant"):
        width = FILTERBANKS[name](2, 60.0, 7800.0, RATE)[1][0]
        assert width == pytest.approx(math.exp(math.log(130) / 2.5 + math.log(60)))


def test_uniform_filters_follow_the_seed():
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(FILTERBANKS["uniform"](8, 60.0, 7800.0, RATE)[0])
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_embedding_is_what_the_head_sees():
    model = build().eval()
    x = waveforms()
    embedding = model.embed(x)
    assert embedding.shape == (2, model.efficientnet.num_features)
    assert torch.equal(model.efficientnet.classifier(embedding), model(x))
    expected = model.efficientnet(model.leaf(x))
    torch.testing.assert_close(model(x), expected)


def test_every_parameter_learns_deterministically():
    model = build(pooling_bias=True)
    torch.use_deterministic_algorithms(True)
    try:
        gradients = []
        for _ in range(2):
            model.zero_grad()
            model.eval()(waveforms()).square().sum().backward()
            gradients.append([p.grad.clone() for p in model.parameters()])
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(map(torch.equal, *gradients))
    leaf = dict(model.leaf.named_parameters())
    assert len(leaf) == 8
    assert all(p.grad.abs().sum() > 0 for p in leaf.values())


def test_outputs_do_not_depend_on_the_others_of_a_batch():
    model, x = build().eval(), waveforms(3)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-5, atol=1e-5)


def test_the_front_end_keeps_its_precision_under_autocast():
    leaf, x = Leaf(sample_rate=RATE, filters=8), waveforms()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(leaf(x), Leaf(sample_rate=RATE, filters=8)(x))
        found = leaf(x)
    assert found.dtype == torch.float32
    assert torch.equal(found, leaf(x))


@pytest.mark.parametrize(
    "efficientnet", ["efficientnet_b0", "tf_efficientnetv2_b0", "test_efficientnet"]
)
def test_every_parameter_is_in_one_block_or_the_head(efficientnet):
    with torch.device("meta"):
        model = build(efficientnet=efficientnet)
    groups = [*structure.blocks(model), structure.head(model)]
    assert groups[0] == model.fresh == ("leaf",)
    assert structure.extractor(model) == 1
    for name, _ in model.named_parameters():
        assert sum(structure.is_under(name, group) for group in groups) == 1, name


@pytest.mark.parametrize("name", FILTERBANKS)
def test_models_are_built_on_the_meta_device(name):
    with torch.device("meta"):
        model = build(initialization=name)
    assert all(p.is_meta for p in model.parameters())


def test_the_device_holds_where_transformers_has_loaded_a_model_before():
    program = """
import torch
from transformers.initialization import meta_device_safe_creation_ops
from rehear.models.filterbanks import FILTERBANKS

with torch.device("meta"), meta_device_safe_creation_ops():
    torch.zeros(1)
with torch.device("meta"):
    for name, fill in FILTERBANKS.items():
        assert all(t.is_meta for t in fill(8, 60, 7800, 16000)), name
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_it_has_the_size_of_timms_network_and_the_front_end():
    with torch.device("meta"):
        model = build(filters=40, efficientnet="efficientnet_b0", num_outputs=10)
    timm = sys.modules["timm"]
    with torch.device("meta"):
        theirs = timm.create_model("efficientnet_b0", in_chans=1, num_classes=10)
    sizes = [sum(p.numel() for p in m.parameters()) for m in (model, theirs)]
    assert sizes[0] - sizes[1] == 7 * 40
    assert model.efficientnet.num_features == 1280


def test_published_weights_fit_all_but_the_front_end_and_the_head():
    model = build().eval()
    timm = sys.modules["timm"]
    theirs = timm.create_model("test_efficientnet").eval()  # 3 channels, 1000 classes
    tensors = model.adapted(theirs.state_dict())
    outside = (*model.head_modules, *model.fresh)
    own = {k for k in model.state_dict() if not structure.is_under(k, outside)}
    body = {k: v for k, v in tensors.items() if not structure.is_under(k, outside)}
    assert body.keys() == own
    model.load_state_dict(body, strict=False)
    image = torch.randn(2, 1, 40, 64)
    torch.testing.assert_close(
        model.efficientnet.forward_features(image),
        theirs.forward_features(image.expand(-1, 3, -1, -1)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_tensors_of_our_own_models_keep_their_names():
    model = build()
    own = model.state_dict()
    assert {**model.adapted(own), "x": 1}.keys() == {*own, "x"}
    assert model.adapted({"odd": torch.zeros(1)}).keys() == {"efficientnet.odd"}


def test_sources_are_the_weights_of_timm():
    timm = pytest.importorskip("timm", reason="needs the extra timm")
    sources = LeafEfficientNet.sources()
    known = timm.list_models("*efficientnet*", module="efficientnet")
    assert {key.removeprefix("imagenet/") for key in sources} < set(known)
    b0, b5 = (sources[f"imagenet/efficientnet_{size}"] for size in ("b0", "b5"))
    assert b0.url.endswith(f"-{b0.sha256}.pth")
    assert len(b0.sha256) == 8
    assert b5.url.startswith("https://huggingface.co/timm/efficientnet_b5.")
    for name, source in sources.items():
        assert source.arguments == {"efficientnet": name.removeprefix("imagenet/")}
        assert source.url.startswith("https://")
        assert source.licence == "apache-2.0"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"filters": 0}, "filters: expected 1 or more, not 0"),
        ({"min_freq": 0}, "expected 0 < min_freq < max_freq, not 0 and 7800"),
        ({"min_freq": 8000}, "expected 0 < min_freq"),
        ({"max_freq": 9000}, "max_freq is 9000 Hz, but waveforms of 16000 Hz hold"),
        ({"sample_rate": 8000}, "model 'leaf': .* set model.max_freq to 4000 or less"),
        ({"hop_ms": 0}, "too short at 16000 Hz"),
        ({"kernel_ms": 0.1}, "too short at 16000 Hz"),
        ({"initialization": "mell"}, "Did you mean 'mel'"),
        ({"initialization": "mel-fft", "filters": 160}, "too narrow for mel-fft"),
        ({"efficientnet": "efficientnet_bo"}, "Did you mean 'efficientnet_b"),
        ({"efficientnet": "hf-hub:timm/x"}, "unknown efficientnet"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(spec, message):
    with pytest.raises(ParamsError, match=message):
        build(**spec)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 4800), r"a waveform \(1, samples\), but features are \(2, 4800\)"),
        ((1, 64, 51), "end preprocess.transforms with mono, without"),
        ((4800,), "takes a waveform"),
        ((1, 400), "at least one filter, 401 samples, but they have 400; give it"),
    ],
)
def test_features_that_do_not_fit_are_refused(shape, message):
    with pytest.raises(ModelError, match=message):
        build(input_shape=shape)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ParamsError, match=r"pip install 'rehear\[timm\]'"):
        LeafEfficientNet.sources()
