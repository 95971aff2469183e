"""Classifiers of torchvision: all of them on the meta device, a spread for real."""

import builtins
import inspect
import subprocess
import sys

import pytest
import torch
import torchvision.models
from torch import nn
from torchvision.ops import StochasticDepth

from rehear import pretrained
from rehear.errors import ModelError, ParamsError
from rehear.models import MODELS, structure

KNOWN = torchvision.models.list_models(module=torchvision.models)
# Smallest of each family, a small image that it takes, and the size of its embedding.
SPREAD = {
    "alexnet": (63, 4096),
    "convnext_tiny": (32, 768),
    "densenet121": (32, 1024),
    "efficientnet_b0": (32, 1280),
    "googlenet": (32, 1024),
    "inception_v3": (75, 2048),
    "maxvit_t": (224, 512),
    "mnasnet0_5": (32, 1280),
    "mobilenet_v2": (32, 1280),
    "mobilenet_v3_small": (32, 1024),
    "regnet_x_400mf": (32, 400),
    "regnet_y_400mf": (32, 440),
    "resnet18": (32, 512),
    "shufflenet_v2_x0_5": (32, 1024),
    "squeezenet1_1": (32, 512),
    "swin_t": (32, 768),
    "swin_v2_t": (32, 768),
    "vgg11": (32, 4096),
    "vit_b_32": (32, 768),
}
EMBEDDINGS = {
    4096: "alexnet vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn",
    1024: "convnext_base densenet121 googlenet mobilenet_v3_small "
    "shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 swin_b "
    "swin_v2_b vit_l_16 vit_l_32",
    1536: "convnext_large efficientnet_b3",
    768: "convnext_small convnext_tiny swin_s swin_t swin_v2_s swin_v2_t "
    "vit_b_16 vit_b_32",
    2208: "densenet161",
    1664: "densenet169",
    1920: "densenet201 regnet_x_8gf",
    1280: "efficientnet_b0 efficientnet_b1 efficientnet_v2_l efficientnet_v2_m "
    "efficientnet_v2_s mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 "
    "mobilenet_v2 mobilenet_v3_large vit_h_14",
    1408: "efficientnet_b2",
    1792: "efficientnet_b4",
    2048: "efficientnet_b5 inception_v3 regnet_x_16gf resnet101 resnet152 "
    "resnet50 resnext101_32x8d resnext101_64x4d resnext50_32x4d "
    "shufflenet_v2_x2_0 wide_resnet101_2 wide_resnet50_2",
    2304: "efficientnet_b6",
    2560: "efficientnet_b7",
    512: "maxvit_t resnet18 resnet34 squeezenet1_0 squeezenet1_1",
    912: "regnet_x_1_6gf",
    2520: "regnet_x_32gf",
    1008: "regnet_x_3_2gf",
    400: "regnet_x_400mf",
    672: "regnet_x_800mf",
    7392: "regnet_y_128gf",
    3024: "regnet_y_16gf",
    888: "regnet_y_1_6gf",
    3712: "regnet_y_32gf",
    1512: "regnet_y_3_2gf",
    440: "regnet_y_400mf",
    784: "regnet_y_800mf",
    2016: "regnet_y_8gf",
}
# Networks with dropout in another place than their last layer, or more behind it.
UNDIVIDED = ("googlenet", "inception_v3", "squeezenet1_1")
WITH_OTHER_HEADS = ("googlenet", "inception_v3")
SIZES = {name: size for size, names in EMBEDDINGS.items() for name in names.split()}


def build(architecture, shape=(3, 32, 32), outputs=4, **arguments):
    spec = {"name": "torchvision", "architecture": architecture, **arguments}
    return MODELS.build(spec, num_outputs=outputs, input_shape=shape)


def on_meta(architecture, shape=(3, 224, 224), outputs=4, **arguments):
    with torch.device("meta"):
        return build(architecture, shape, outputs, **arguments)


def original(architecture, **arguments):
    """Return torchvision's own model with four outputs, on the meta device."""
    if architecture in ("googlenet", "inception_v3"):
        arguments |= {"init_weights": False}
    real = architecture.startswith("regnet")  # computes its widths on the device
    with torch.device("cpu" if real else "meta"):
        return torchvision.models.get_model(architecture, num_classes=4, **arguments)


def calibrate(model, x):
    """Give outputs a size: normalise by these inputs, and let no head be zero."""
    nn.init.normal_(model.get_submodule(model.head_modules[0]).weight)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(x)
    model.eval()


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other take longer
    yield
    torch.set_num_threads(threads)
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("architecture", KNOWN)
def test_all_have_torchvisions_size_a_head_and_blocks(architecture):
    weights = next(iter(torchvision.models.get_model_weights(architecture)))
    stated, side = weights.meta["num_params"], 224
    if architecture.startswith("vit"):
        side = weights.meta["min_size"][0]
    elif architecture == "inception_v3":
        side, stated = 299, stated - 3_326_696  # without the other head
    model = on_meta(architecture, (3, side, side), outputs=1000)
    assert sum(p.numel() for p in model.parameters()) == stated
    head = model.get_submodule(model.head_modules[0])
    assert head.weight.shape[:2] == (1000, SIZES[architecture])
    groups = [*model.blocks, model.head_modules]
    for name, _ in model.named_parameters():
        assert sum(structure.is_under(name, group) for group in groups) == 1, name
    modules = dict(model.named_modules()) | dict(model.named_parameters())
    assert all(name in modules for group in groups for name in group)


@pytest.mark.parametrize("architecture", SPREAD)
def test_a_spread_computes_what_torchvision_does(architecture, deterministic):
    side, size = SPREAD[architecture]
    batch = 1 if side > 100 else 2
    torch.manual_seed(0)
    model = build(architecture, (3, side, side))
    x = torch.randn(batch, 3, side, side)
    model(x).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    calibrate(model, x)
    reference = original(
        architecture,
        **({"aux_logits": False} if architecture in WITH_OTHER_HEADS else {}),
        **({"image_size": side} if architecture.startswith("vit") else {}),
    ).eval()
    reference.load_state_dict(model.network.state_dict(), assign=True)
    assert model.adapted(reference.state_dict()).keys() == model.state_dict().keys()
    model.load_state_dict({**model.state_dict()})  # as from safetensors
    with torch.no_grad():
        outputs, embedding = model(x), model.embed(x)
        assert outputs.std() > 1e-3
        torch.testing.assert_close(outputs, reference(x), rtol=1e-5, atol=1e-5)
        assert embedding.shape == (batch, size)
        assert model.divides() == (architecture not in UNDIVIDED)
        if model.divides():
            assert torch.equal(model.decode(model.encode(x)), outputs)
        if not architecture.startswith("squeezenet"):  # convolution, ReLU, mean
            head = model.get_submodule(model.head_modules[0])
            torch.testing.assert_close(head(embedding), outputs)


def test_blocks_are_the_stages():
    def stages(name):
        return [
            [part.removeprefix("network.") for part in group]
            for group in on_meta(name).blocks
        ]

    assert stages("resnet18")[:2] == [["conv1", "bn1"], ["layer1"]]
    assert len(stages("resnet18")) == 5
    vit = stages("vit_b_16")
    assert vit[0] == ["class_token", "conv_proj", "encoder.pos_embedding"]
    assert vit[-1] == ["encoder.layers.encoder_layer_11", "encoder.ln"]
    assert stages("vgg11_bn")[0] == ["features.0", "features.1"]
    assert stages("vgg11_bn")[-2:] == [["classifier.0"], ["classifier.3"]]
    assert stages("convnext_tiny")[-1] == ["features.7", "classifier.0"]


def test_weights_with_everything_but_the_head_fit_strictly():
    reference = torchvision.models.googlenet(num_classes=10, init_weights=False)
    published = reference.state_dict()
    assert any(name.startswith("aux1.") for name in published)
    model = build("googlenet", transform_input=True)
    tensors = model.adapted({**published, "spare": torch.zeros(1)})
    head = model.head_modules[0]
    kept = {k: v for k, v in tensors.items() if not structure.is_under(k, [head])}
    missing, unexpected = model.load_state_dict(kept, strict=False)
    assert missing == [f"{head}.weight", f"{head}.bias"]
    assert unexpected == ["network.spare"]


def test_old_files_fit():
    model = build("densenet121")
    ours = {
        name.removeprefix("network."): tensor
        for name, tensor in model.state_dict().items()
    }
    published = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): tensor
        for name, tensor in ours.items()
        if not name.endswith("num_batches_tracked")
    }
    assert any("norm.1." in name for name in published)
    torch.manual_seed(2)
    other = build("densenet121")
    assert not torch.equal(other.network.classifier.weight, ours["classifier.weight"])
    pretrained.fit(other, published, name="old", keep_head=True)
    for name, tensor in other.network.state_dict().items():
        assert torch.equal(tensor, ours[name]), name


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_kernels_fit_other_channels_as_timm_makes_them(channels):
    from timm.models import adapt_input_conv

    kernel = torch.randn(64, 3, 7, 7)
    model = on_meta("resnet18", (channels, 64, 51))
    adapted = model.adapted({"conv1.weight": kernel})["network.conv1.weight"]
    assert adapted.shape == model.network.conv1.weight.shape
    torch.testing.assert_close(adapted, adapt_input_conv(channels, kernel))


def test_position_embeddings_fit_another_size():
    name = "encoder.pos_embedding"
    published = {name: torch.randn(1, 10, 768)}
    model = on_meta("vit_b_32", (1, 192, 192))
    adapted = model.adapted(published)[f"network.{name}"]
    assert adapted.shape == model.network.encoder.pos_embedding.shape
    assert torch.equal(adapted[:, 0], published[name][:, 0])
    same = on_meta("vit_b_32", (1, 96, 96)).adapted(published)[f"network.{name}"]
    assert torch.equal(same, published[name])


def test_sources_name_every_weight_once_and_its_digest():
    sources = MODELS.get("torchvision").sources()
    weights = [w for name in KNOWN for w in torchvision.models.get_model_weights(name)]
    assert len(sources) == len(weights) == len({s.url for s in sources.values()})
    source = sources["torchvision/resnet18.imagenet1k_v1"]
    assert source.url.endswith("/resnet18-f37072fd.pth")
    assert source.sha256 == "f37072fd"
    assert source.arguments == {"architecture": "resnet18"}
    assert all(len(s.sha256) >= 8 for s in sources.values())
    swag = sources["torchvision/vit_b_16.imagenet1k_swag_e2e_v1"]
    assert swag.licence.startswith("CC-BY-NC-4.0")
    assert sources["torchvision/googlenet.imagenet1k_v1"].arguments == {
        "architecture": "googlenet",
        "transform_input": True,
    }


def test_arguments_of_the_architecture_are_passed_on():
    model = on_meta("mobilenet_v2", dropout=0.7)
    assert model.network.classifier[0].p == 0.7


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(x, marks=[] if x in SPREAD else pytest.mark.slow)
        for x in KNOWN
        if not x.startswith("shufflenet")  # which have no arguments
    ],
)
def test_every_argument_that_is_listed_can_be_set(architecture):
    with pytest.raises(ParamsError, match="no argument 'none'") as refused:
        on_meta(architecture, none=1)
    listed = str(refused.value).partition("It takes: ")[2].split(", ")
    signature = inspect.signature(type(original(architecture)))
    on_meta(architecture, **{x: signature.parameters[x].default for x in listed})


@pytest.mark.parametrize("architecture", [x for x in KNOWN if x.startswith("swin")])
def test_the_stochastic_depth_of_swin_transformers_is_that_of_their_class(architecture):
    def probabilities(network):
        return [x.p for x in network.modules() if isinstance(x, StochasticDepth)]

    made = {}

    class Told(torchvision.models.SwinTransformer):
        def __init__(self, **arguments):
            made.update(arguments)
            super().__init__(**arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision.models.swin_transformer, "SwinTransformer", Told)
        usual = original(architecture)
    assert probabilities(on_meta(architecture).network) == probabilities(usual)
    with torch.device("meta"):
        expected = Told(**{**made, "stochastic_depth_prob": 0.1})
    model = on_meta(architecture, stochastic_depth_prob=0.1)
    assert probabilities(model.network) == probabilities(expected)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"architecture": "resnet_18"}, "Did you mean 'resnet18'"),
        ({"architecture": "vgg11", "drop": 0.1}, "Did you mean 'dropout'"),
        ({"architecture": "vgg11", "num_classes": 3}, "no argument 'num_classes'"),
        ({"architecture": "vgg11", "dropout": "much"}, "expected a number"),
        ({"architecture": "vgg11", "dropout": 3.0}, "number from 0 to 1, found 3.0"),
        ({"architecture": "vit_b_16", "attention_dropout": 3}, "number from 0 to 1"),
        ({"architecture": "swin_t", "stochastic_depth_prob": -1}, "number from 0 to"),
        ({"architecture": "densenet121", "drop_rate": 3.0}, "number from 0 to 1"),
        ({"architecture": "resnext50_32x4d", "groups": 2}, "'groups' of .* is fixed"),
        ({"architecture": "densenet121", "growth_rate": 4}, "'growth_rate' of .*fix"),
        ({"architecture": "resnet18", "groups": 2}, "groups: cannot be 2 .BasicBlock"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(spec, reason):
    with pytest.raises(ParamsError, match=reason):
        on_meta(**spec)


@pytest.mark.parametrize(
    ("architecture", "shape", "reason"),
    [
        ("resnet18", (88,), "takes an image or spectrogram"),
        ("vit_b_16", (1, 64, 51), "vit_b_16 does not take .*height: 224, width: 224}"),
        ("vit_b_16", (1, 64, 96), "vit_b_16 does not take .*Wrong image width"),
        ("vit_b_16", (1, 51, 51), "indivisible by patch size"),
        ("maxvit_t", (1, 64, 51), "maxvit_t does not take"),
        ("inception_v3", (1, 64, 51), r"\(1, 64, 51\) .*height: 299, width: 299"),
        ("alexnet", (1, 20, 20), "too small"),
        ("vgg11", (3, 16, 16), "too small"),
    ],
)
def test_images_that_do_not_fit_are_refused(architecture, shape, reason):
    with pytest.raises(ModelError, match=reason):
        on_meta(architecture, shape)


def test_renormalised_colours_need_three_channels():
    with pytest.raises(ModelError, match="add rgb to preprocess.transforms"):
        on_meta("googlenet", (1, 64, 64), transform_input=True)


def test_pooling_without_random_order_is_that_of_torch():
    model = build("vgg11", (1, 96, 352))
    x = torch.randn(2, 8, 3, 11)
    expected = nn.AdaptiveAvgPool2d((7, 7))(x)
    torch.testing.assert_close(model.network.avgpool(x), expected)


def test_torchvision_is_asked_for_kindly(monkeypatch):
    real = builtins.__import__

    def absent(name, *args):
        if name.startswith("torchvision"):
            raise ModuleNotFoundError("no", name="torchvision")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ParamsError, match=r"needs the package torchvision.*rehear\["):
        build("resnet18")


def test_the_modules_load_no_library():
    code = (
        "import sys, rehear.models.image_timm, rehear.models.image_torchvision; "
        "sys.exit(bool({'torchvision', 'timm'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
