"""Models of timm: a spread on the meta device, small ones for real."""

import builtins
import re
import warnings

import pytest
import safetensors.torch
import timm
import torch

from rehear import pretrained
from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, structure

# One of each of timm's ways to build, with an image that it takes.
SPREAD = {
    "aimv2_large_patch14_224": (3, 56, 56),
    "beit_base_patch16_224": (1, 64, 96),
    "botnet26t_256": (1, 256, 256),
    "cait_xxs24_224": (1, 64, 64),
    "caformer_s18": (1, 64, 51),
    "coat_tiny": (1, 224, 224),
    "coatnet_0_224": (1, 224, 224),
    "convit_tiny": (1, 224, 224),
    "convnext_atto": (1, 64, 51),
    "crossvit_9_240": (1, 240, 240),
    "cspresnet50": (1, 64, 51),
    "davit_tiny": (1, 64, 96),
    "deit_tiny_distilled_patch16_224": (1, 64, 96),
    "densenet121": (1, 64, 51),
    "dla34": (1, 64, 96),
    "dpn48b": (1, 64, 51),
    "edgenext_xx_small": (1, 64, 96),
    "efficientformer_l1": (1, 224, 224),
    "efficientnet_b0": (1, 64, 51),
    "efficientvit_b0": (1, 64, 96),
    "eva02_tiny_patch14_224": (1, 56, 70),
    "fastvit_t8": (1, 64, 96),
    "focalnet_tiny_srf": (1, 64, 96),
    "gcvit_xxtiny": (1, 224, 224),
    "ghostnet_100": (1, 64, 51),
    "hgnet_tiny": (1, 64, 51),
    "hiera_tiny_224": (1, 224, 224),
    "hrnet_w18_small": (1, 64, 96),
    "inception_v4": (1, 96, 96),
    "levit_128s": (1, 224, 224),
    "mixer_s32_224": (1, 64, 64),
    "mobilenetv3_small_050": (1, 64, 51),
    "mobilevit_xxs": (1, 64, 96),
    "mvitv2_tiny": (1, 224, 224),
    "nfnet_l0": (1, 64, 51),
    "pit_ti_224": (1, 64, 64),
    "pvt_v2_b0": (1, 64, 96),
    "rdnet_tiny": (1, 64, 96),
    "regnetx_002": (1, 64, 51),
    "repvgg_a0": (1, 64, 51),
    "resnet10t": (1, 64, 51),
    "resnetv2_18": (1, 64, 51),
    "sequencer2d_s": (1, 224, 224),
    "swin_tiny_patch4_window7_224": (1, 224, 224),
    "tiny_vit_5m_224": (1, 224, 224),
    "vgg11": (1, 64, 51),
    "vit_tiny_patch16_224": (1, 64, 96),
    "xcit_nano_12_p8_224": (1, 64, 96),
}
# timm's own miniatures.
SMALL = {
    "test_byobnet": (2, 64, 51),
    "test_convnext": (2, 64, 51),
    "test_efficientnet": (2, 64, 51),
    "test_mambaout": (2, 64, 51),
    "test_nfnet": (2, 64, 51),
    "test_resnet": (2, 64, 51),
    "test_vit": (2, 64, 96),
}


B0 = {"architecture": "efficientnet_b0"}
VIT = {"architecture": "test_vit", "shape": (3, 64, 96)}


def build(architecture="test_resnet", shape=(3, 64, 51), outputs=4, **arguments):
    spec = {"name": "timm", "architecture": architecture, **arguments}
    return MODELS.build(spec, num_outputs=outputs, input_shape=shape)


def on_meta(architecture="test_resnet", shape=(3, 64, 51), **arguments):
    with torch.device("meta"):
        return build(architecture, shape, **arguments)


@pytest.mark.parametrize("architecture", SPREAD)
def test_every_parameter_is_of_one_block_or_the_head(architecture):
    model = on_meta(architecture, SPREAD[architecture])
    groups = [*model.blocks, model.head_modules]
    for name, _ in model.named_parameters():
        assert sum(structure.is_under(name, group) for group in groups) == 1, name
    assert len(model.blocks) >= 4
    for name in model.head_modules:
        assert list(model.get_submodule(name).parameters())
    first = [p for n, p in structure.parameters(model, model.blocks[0]) if p.ndim == 4]
    assert first, "the first convolution is in the first block"
    ours = model.network.state_dict()
    adapted = model.adapted(ours)
    assert {name: x.shape for name, x in adapted.items()} == {
        name: x.shape for name, x in model.state_dict().items()
    }


@pytest.mark.parametrize("architecture", SMALL)
def test_outputs_and_gradients_are_those_of_timm(architecture):
    shape = SMALL[architecture]
    torch.manual_seed(0)
    model = build(architecture, shape)
    size = {"img_size": shape[1:]} if "vit" in architecture else {}
    reference = timm.create_model(architecture, num_classes=4, in_chans=2, **size)
    model.load_state_dict(model.adapted(reference.state_dict()))
    x = torch.randn(2, *shape)
    torch.use_deterministic_algorithms(True)
    try:
        model(x).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    model.load_state_dict(model.adapted(reference.state_dict()))
    model.eval(), reference.eval()
    with torch.no_grad():
        outputs, embedding = model(x), model.embed(x)
        assert outputs.std() > 1e-3
        torch.testing.assert_close(outputs, reference(x), rtol=1e-5, atol=1e-5)
        head = model.get_submodule(model.head_modules[0])
        torch.testing.assert_close(head(embedding), outputs)
        assert model.divides()
        assert torch.equal(model.decode(model.encode(x)), outputs)
    assert embedding.shape == (2, head.in_features)


@pytest.mark.parametrize(
    ("architecture", "arguments", "divides"),
    [
        ("vit_tiny_patch16_224", {}, True),
        ("vit_tiny_patch16_224", {"drop_rate": 0.1}, False),
        ("vit_tiny_patch16_224", {"drop_path_rate": 0.1}, True),  # in frozen layers
        ("efficientnet_b0", {}, True),
        ("efficientnet_b0", {"drop_rate": 0.2}, False),
        ("ghostnet_100", {}, False),  # drops without being told
        ("deit_tiny_distilled_patch16_224", {}, False),  # two last layers
        ("crossvit_9_240", {}, False),  # a list of last layers
        ("dla34", {}, False),  # a convolution that comes last
    ],
)
def test_a_network_is_cut_only_where_its_last_layer_is_the_rest(
    architecture, arguments, divides
):
    model = on_meta(architecture, SPREAD[architecture], **arguments)
    training = model.train().training
    assert model.divides() == divides
    assert model.training == training
    if divides:
        x = torch.empty(2, *SPREAD[architecture], device="meta")
        assert model.decode(model.encode(x)).shape == (2, 4)


def test_asking_for_the_size_leaves_shared_layers_alone():
    model = build("coat_tiny", (1, 224, 224))
    assert {x.device.type for x in model.state_dict().values()} == {"cpu"}
    with torch.no_grad():
        assert model.eval()(torch.randn(1, 1, 224, 224)).shape == (1, 4)


def test_a_published_file_fits_strictly_but_for_the_head(tmp_path):
    published = timm.create_model("test_vit", num_classes=10)
    file = tmp_path / "model.safetensors"
    safetensors.torch.save_file(published.state_dict(), file)
    model = build("test_vit", (1, 64, 96))
    tensors = model.adapted({**safetensors.torch.load_file(file)})
    kept = {
        name: tensor
        for name, tensor in tensors.items()
        if not structure.is_under(name, model.head_modules)
    }
    missing, unexpected = model.load_state_dict(kept, strict=False)
    assert missing == ["network.head.weight", "network.head.bias"]
    assert unexpected == []
    kernel = published.patch_embed.proj.weight.sum(dim=1, keepdim=True)
    assert torch.equal(model.network.patch_embed.proj.weight, kernel)


PUBLISHED = [
    ("test_efficientnet", (1, 64, 96)),
    ("test_efficientnet", (2, 96, 160)),
    ("test_efficientnet", (5, 160, 160)),
    ("test_vit", (1, 64, 96)),
    ("test_vit", (2, 96, 160)),
    ("test_vit", (5, 160, 160)),
    # Not by the function that other networks of their module have.
    ("flexivit_small", (3, 160, 160)),
    ("deit3_small_patch16_224", (1, 64, 96)),
    ("deit_tiny_distilled_patch16_224", (3, 96, 96)),
    ("crossvit_9_240", (1, 240, 240)),
    ("densenet121", (1, 64, 64)),
]


@pytest.mark.parametrize(("architecture", "shape"), PUBLISHED)
def test_published_tensors_are_adapted_as_timm_does_it(architecture, shape):
    source = timm.create_model(architecture)
    published = as_published(source.state_dict(), architecture)
    model = build(architecture, shape, outputs=1000)
    load = timm.models._builder.load_pretrained
    model.load_state_dict(model.adapted(published))
    assert timm.models._builder.load_pretrained is load
    size = {"img_size": shape[1:]} if source.pretrained_cfg["fixed_input_size"] else {}
    expected = timm.create_model(
        architecture,
        pretrained=True,
        pretrained_cfg_overlay={"state_dict": published},
        in_chans=shape[0],
        **size,
    )
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], tensor), name


def as_published(tensors, architecture):
    """Return tensors by the names that they have in the authors' files."""
    renamed = {
        "crossvit_9_240": (r"^(pos_embed|cls_token)_(\d)$", r"\1.\2"),
        "deit3_small_patch16_224": (r"\.ls(\d)\.gamma$", r".gamma_\1"),
    }
    pattern, new = renamed.get(architecture, ("$^", ""))
    return {re.sub(pattern, new, name): tensor for name, tensor in tensors.items()}


def test_counters_may_lack_in_old_files():
    model = on_meta("test_resnet")
    old = {
        name: tensor
        for name, tensor in model.network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    pretrained.fit(model, old, name="old", keep_head=True)


def test_unknown_tensors_are_passed_on():
    assert "network.spare" in on_meta().adapted({"spare": torch.zeros(1)})


def test_sources_are_what_timm_publishes():
    sources = MODELS.get("timm").sources()
    assert len(sources) > 1500
    source = sources["timm/efficientnet_b0.ra_in1k"]
    assert source.url == (
        "https://huggingface.co/timm/efficientnet_b0.ra_in1k/resolve/main/"
        "model.safetensors"
    )
    assert source.arguments == {"architecture": "efficientnet_b0"}
    assert source.licence == "apache-2.0"
    elsewhere = [s for s in sources.values() if "huggingface.co" not in s.url]
    assert elsewhere
    assert all(len(s.sha256) >= 8 for s in elsewhere)
    assert all(s.licence and s.citation for s in sources.values())


def test_arguments_of_the_architecture_are_passed_on():
    assert on_meta(drop_rate=0.7).network.drop_rate == 0.7


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"architecture": "efficientnet_bo"}, "Did you mean 'efficientnet_b"),
        ({"architecture": "resnet18.a1_in1k"}, "Did you mean 'resnet18"),
        ({"drop_rat": 0.1}, "test_resnet has no argument 'drop_rat'. Did you mean"),
        ({"in_chans": 3}, "no argument 'in_chans'"),
        ({"num_classes": 3}, "no argument 'num_classes'"),
        ({"drop_rate": "much"}, "drop_rate: expected a number"),
        ({"drop_rate": 2.0}, "drop_rate: expected a number from 0 to 1, found 2.0"),
        ({"drop_path_rate": -1}, "drop_path_rate: expected a number from 0 to 1"),
        ({"device": "meta"}, "no argument 'device'"),
        ({"dtype": "float16"}, "no argument 'dtype'"),
        ({"output_stride": 3}, r"output_stride: cannot be 3 \(AssertionError\)"),
        ({**B0, "act_layer": "nope"}, r"act_layer: cannot be 'nope' \(KeyError 'nope'"),
        ({**VIT, "act_layer": "nope"}, "act_layer: cannot be 'nope'"),
        ({**VIT, "patch_size": 0}, "patch_size: cannot be 0"),
        ({**VIT, "drop_rate": 0.1, "embed_dim": 65}, "embed_dim: cannot be 65 .dim"),
        ({**VIT, "depth": 1, "patch_size": 40}, "patch_size: cannot be 40"),
        ({**VIT, "embed_dim": 8, "num_heads": 16}, "embed_dim, num_heads: cannot sta"),
        ({"architecture": "mobilenetv5_300m_enc"}, "is no classifier"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(spec, reason):
    with pytest.raises(ParamsError, match=reason):
        on_meta(**spec)


@pytest.mark.parametrize(
    ("architecture", "shape", "reason"),
    [
        ("test_resnet", (88,), "takes an image or spectrogram"),
        ("test_vit", (1, 64, 51), "test_vit does not take .*height: 160, width: 160}"),
        ("inception_v4", (1, 64, 51), r"too small\); add .*height: 299, width: 299"),
        ("nest_tiny_jx", (1, 64, 96), "only handles square inputs"),
        ("levit_128s", (1, 64, 51), "height: 224, width: 224"),
    ],
)
def test_images_that_do_not_fit_are_refused(architecture, shape, reason):
    with pytest.raises(ModelError, match=reason):
        on_meta(architecture, shape)


def test_channels_that_do_not_fit_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ModelError, match=r"does not take .*; add rgb to preproc"):
            on_meta("csatv2", (1, 512, 512))


def test_timm_is_asked_for_kindly(monkeypatch):
    real = builtins.__import__

    def absent(name, *args):
        if name.startswith("timm"):
            raise ModuleNotFoundError("no", name="timm")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ParamsError, match=r"needs the package timm.*'rehear\[timm\]'"):
        build()
