"""Presets of models: all those of the peer, and what they write."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from rehear import checking, compatibility, params, presets, yaml_edit
from rehear.errors import ParamsError
from rehear.models import MODELS
from rehear.presets import Preset
from rehear.signals import taken
from rehear.transforms import TRANSFORMS

# The names of the peer's presets of models, autrainer 0.10.
NAMES = """
    AlexNet AlexNet-T ASTModel ASTModel-T Cnn10 Cnn10-32k-T Cnn10-32k-T-online Cnn14
    Cnn14-16k-T Cnn14-32k-T ConvNeXt-Base ConvNeXt-Base-T ConvNeXt-Large
    ConvNeXt-Large-T ConvNeXt-Small ConvNeXt-Small-T ConvNeXt-Tiny ConvNeXt-Tiny-T
    Densenet-121 Densenet-121-T EfficientNet-B0 EfficientNet-B0-T EfficientNet-B1
    EfficientNet-B1-T EfficientNet-B2 EfficientNet-B2-T EfficientNet-B3
    EfficientNet-B3-T EfficientNet-B4 EfficientNet-B4-T EfficientNet-B5
    EfficientNet-B5-T EfficientNet-B6 EfficientNet-B6-T EfficientNet-B7
    EfficientNet-B7-T EfficientNetV2-L EfficientNetV2-L-T EfficientNetV2-M
    EfficientNetV2-M-T EfficientNetV2-S EfficientNetV2-S-T End2You-emo18 End2You-zhao19
    GoogLeNet GoogLeNet-T hubert-b-ls960 hubert-l-ll60k InceptionV3 InceptionV3-T
    LEAFNet MaxViT-T MaxViT-T-T MnasNet-0.5 MnasNet-0.5-T MnasNet-0.75 MnasNet-0.75-T
    MnasNet-1.0 MnasNet-1.0-T MnasNet-1.3 MnasNet-1.3-T MobileNetV2 MobileNetV2-T
    MobileNetV3-Large MobileNetV3-Large-T MobileNetV3-Small MobileNetV3-Small-T
    RegNetX-1.6GF RegNetX-1.6GF-T RegNetX-16GF RegNetX-16GF-T RegNetX-3.2GF
    RegNetX-3.2GF-T RegNetX-32GF RegNetX-32GF-T RegNetX-400MF RegNetX-400MF-T
    RegNetX-800MF RegNetX-800MF-T RegNetX-8GF RegNetX-8GF-T RegNetY-1.6GF
    RegNetY-1.6GF-T RegNetY-128GF RegNetY-128GF-T RegNetY-16GF RegNetY-16GF-T
    RegNetY-3.2GF RegNetY-3.2GF-T RegNetY-32GF RegNetY-32GF-T RegNetY-400MF
    RegNetY-400MF-T RegNetY-800MF RegNetY-800MF-T RegNetY-8GF RegNetY-8GF-T ResNet-101
    ResNet-101-T ResNet-152 ResNet-152-T ResNet-18 ResNet-18-T ResNet-34 ResNet-34-T
    ResNet-50 ResNet-50-T ResNeXt-101-32x8d ResNeXt-101-32x8d-T ResNeXt-101-64x4d
    ResNeXt-101-64x4d-T ResNeXt-50-32x4d ResNeXt-50-32x4d-T Seq-FFNN-eGeMAPS
    Seq-FFNN-IS09 Seq-FFNN-IS10 Seq-FFNN-IS11 Seq-FFNN-IS12 Seq-FFNN-IS13 Seq-FFNN-IS16
    ShuffleNetV2-0.5x ShuffleNetV2-0.5x-T ShuffleNetV2-1.0x ShuffleNetV2-1.0x-T
    ShuffleNetV2-1.5x ShuffleNetV2-1.5x-T ShuffleNetV2-2.0x ShuffleNetV2-2.0x-T
    SqueezeNet-1.0 SqueezeNet-1.0-T SqueezeNet-1.1 SqueezeNet-1.1-T Swin-B Swin-B-T
    Swin-S Swin-S-T Swin-T Swin-T-T Swin-V2-B Swin-V2-B-T Swin-V2-S Swin-V2-S-T
    Swin-V2-T Swin-V2-T-T TDNNFFNN TDNNFFNN-T ToyFFNN VGG-11 VGG-11-BN VGG-11-BN-T
    VGG-11-T VGG-13 VGG-13-BN VGG-13-BN-T VGG-13-T VGG-16 VGG-16-BN VGG-16-BN-T VGG-16-T
    VGG-19 VGG-19-BN VGG-19-BN-T VGG-19-T ViT-B-16 ViT-B-16-T ViT-B-32 ViT-B-32-T
    ViT-H-14 ViT-H-14-T ViT-L-16 ViT-L-16-T ViT-L-32 ViT-L-32-T w2v2-b w2v2-b-T w2v2-l
    w2v2-l-100k w2v2-l-100k-T w2v2-l-emo w2v2-l-emo-T w2v2-l-rob w2v2-l-rob-T w2v2-l-T
    Whisper-FFNN-Base Whisper-FFNN-Base-T Whisper-FFNN-Small Whisper-FFNN-Small-T
    Whisper-FFNN-Tiny Whisper-FFNN-Tiny-T Wide-ResNet-101-2 Wide-ResNet-101-2-T
    Wide-ResNet-50-2 Wide-ResNet-50-2-T
"""
PEER = NAMES.split()
MADE = [preset for preset in presets.everything() if preset.kind == "model"]
SETTINGS = {preset.name: preset.settings() for preset in MADE}
ROOT = Path(__file__).resolve().parents[1]
MODEL, WEIGHTS = ("model",), ("pretrained", "weights")
FRONT, FREEZE = ("preprocess", "transforms"), ("train", "freeze")
ALWAYS = {MODEL, WEIGHTS, ("pretrained", "keep_head"), FREEZE}


def settings_of(name):
    """Return what the preset of a name sets."""
    return presets.find(name).settings()


def kind_of(preset):
    """Return what tells presets of one rule from those of another."""
    settings = SETTINGS[preset.name]
    front = [
        (part["name"], part.get("model"), part.get("deltas"))
        for part in settings.get(FRONT, [])
    ]
    return settings[MODEL]["name"], str(front)


EACH = list({kind_of(preset): preset for preset in MADE}.values())
each_kind = pytest.mark.parametrize("preset", EACH, ids=lambda preset: preset.name)
each_family = pytest.mark.parametrize("family", sorted({p.family for p in MADE}))


def of_family(family):
    """Return presets."""
    return [preset for preset in MADE if preset.family == family]


def part_of(preset):
    """Return the model's part, and its class; skip while it is not there."""
    spec = SETTINGS[preset.name][MODEL]
    if spec["name"] not in MODELS.names():
        pytest.skip(f"there is no {spec['name']} yet")
    return spec, MODELS.get(spec["name"])


@pytest.fixture
def study(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def text_of(study):
    return (study / "params.yaml").read_text(encoding="utf-8")


def test_every_preset_of_the_peer_is_here():
    assert len(set(PEER)) == 193
    found = [presets.find(name) for name in PEER]
    assert {preset.kind for preset in found} == {"model"}
    assert len({preset.name for preset in found}) == 193
    assert {name for preset in MADE for name in preset.aka} == set(PEER)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("cnn10", "Cnn10"),
        ("cnn14-16k-pretrained", "Cnn14-16k-T"),
        ("cnn10-32k-pretrained-online", "Cnn10-32k-T-online"),
        ("vit-b-16-pretrained", "ViT-B-16-T"),
        ("swin-t", "Swin-T"),
        ("swin-t-pretrained", "Swin-T-T"),
        ("maxvit-t", "MaxViT-T"),
        ("regnet_y_1_6gf", "RegNetY-1.6GF"),
        ("wav2vec2-large-robust-pretrained", "w2v2-l-rob-T"),
        ("hubert-base-ls960", "hubert-b-ls960"),
        ("whisper-tiny", "Whisper-FFNN-Tiny"),
        ("seq-ffnn-egemaps", "Seq-FFNN-eGeMAPS"),
        ("ecapa-tdnn", "TDNNFFNN"),
        ("ffnn", "ToyFFNN"),
    ],
)
def test_both_names_lead_to_a_preset(ours, theirs):
    assert presets.find(ours) is presets.find(theirs)
    assert presets.find(ours.upper()) is presets.find(theirs)


def test_pretrained_ones_have_weights_and_others_have_none():
    for name in PEER:
        preset = presets.find(name)
        pretrained = preset.name.partition("-pretrained")[1] != ""
        assert bool(SETTINGS[preset.name][WEIGHTS]) == pretrained, name
    pairs = [name for name in PEER if f"{name}-T" in PEER]
    assert len(pairs) == 87
    for name in pairs:
        scratch, other = presets.find(name), presets.find(f"{name}-T")
        assert other.name == f"{scratch.name}-pretrained"
        differing = {
            key
            for key, value in SETTINGS[other.name].items()
            if SETTINGS[scratch.name][key] != value
        }
        shifted = {MODEL, FRONT} if name in ("GoogLeNet", "InceptionV3") else set()
        held = {FREEZE} if name.startswith("w2v2") else set()
        assert differing == {WEIGHTS} | shifted | held


def test_weights_of_torchvision_are_its_defaults():
    models = pytest.importorskip("torchvision").models
    found = [SETTINGS[p.name] for p in MADE if p.family == "torchvision"]
    assert len(found) == 2 * 77
    for settings in found:
        architecture = settings[MODEL]["architecture"]
        default = models.get_model_weights(architecture).DEFAULT.name.lower()
        assert settings[WEIGHTS] in ("", f"torchvision/{architecture}.{default}")


SIDES = {
    **dict.fromkeys(("GoogLeNet", "MaxViT-T", "Swin-T", "Swin-S", "Swin-B"), 224),
    **dict.fromkeys(("ViT-B-16", "ViT-B-32", "ViT-L-16", "ViT-L-32"), 224),
    **dict.fromkeys(("Swin-V2-T", "Swin-V2-S", "Swin-V2-B"), 256),
    "InceptionV3": 299,
    "ViT-H-14": 518,
}


def test_networks_of_one_size_come_with_images_of_that_size():
    sizes = {}
    for preset in MADE:
        for part in SETTINGS[preset.name].get(FRONT, []):
            if part["name"] == "resize":
                sizes[preset.aka[0].removesuffix("-T")] = part["height"]
                assert part["height"] == part["width"]
                assert "Longer clips are squeezed" in preset.fragment
    # MaxViT-T loses its own T.
    sizes["MaxViT-T"] = sizes.pop("MaxViT")
    sizes["Swin-T"], sizes["Swin-V2-T"] = sizes.pop("Swin"), sizes.pop("Swin-V2")
    assert sizes == SIDES


@pytest.mark.parametrize(
    ("model", "front"),
    [
        ("Cnn14-16k-T", "log_mel_16k"),
        ("Cnn14-32k-T", "log_mel_32k"),
        ("Cnn10-32k-T", "log_mel_32k"),
        ("cnn14-8k-pretrained", "log_mel_8k"),
    ],
)
def test_front_ends_are_those_of_the_presets_for_them(model, front):
    mine, shared = settings_of(model), settings_of(front)
    assert mine.items() >= shared.items()


def test_spectrograms_made_while_training_are_the_same():
    stored, online = (settings_of(f"Cnn10-32k-T{end}") for end in ("", "-online"))
    assert online[FRONT][-1] == {**stored[FRONT][-1], "online": True}
    assert {**online, FRONT: stored[FRONT]} == stored


def test_descriptors_are_as_many_as_the_peer_has():
    pytest.importorskip("opensmile")
    expected = {"IS09": 32, "IS10": 76, "IS11": 118, "IS12": 128, "IS13": 130}
    for name, number in {**expected, "IS16": 130, "eGeMAPS": 25}.items():
        preset = presets.find(f"Seq-FFNN-{name}")
        part = SETTINGS[preset.name][FRONT][1]
        transform = TRANSFORMS.build(part, sample_rate=16000)
        count = sum(len(engine.names) for engine in transform._engines)
        assert count == number
        assert str(number) in preset.summary


def test_speech_models_keep_their_pretrained_extractor_as_the_peer_does():
    frozen = {p.family for p in MADE if SETTINGS[p.name][FREEZE] == "extractor"}
    assert frozen == {"wav2vec2", "hubert", "wavlm"}
    for preset in MADE:
        learnt = preset.family in frozen and SETTINGS[preset.name][WEIGHTS]
        expected = "extractor" if learnt else 0
        assert SETTINGS[preset.name][FREEZE] == expected


@each_family
def test_a_preset_sets_all_that_another_model_may_have_left(family):
    for preset in of_family(family):
        settings = SETTINGS[preset.name]
        front = {FRONT, ("preprocess", "sample_rate")}
        assert set(settings) in (ALWAYS, ALWAYS | front)
        assert bool(preset.needs) == (FRONT not in settings)
        assert settings["pretrained", "keep_head"] is False


@each_family
def test_fragments_are_valid_files(family, tmp_path):
    for preset in of_family(family):
        (tmp_path / "params.yaml").write_text(preset.fragment, encoding="utf-8")
        read = params.load(tmp_path / "params.yaml")
        assert read.model == SETTINGS[preset.name][MODEL]
        for part in SETTINGS[preset.name].get(FRONT, ()):
            TRANSFORMS.check(part, given=checking.GIVEN["transform"])


@each_family
def test_models_take_their_arguments(family):
    for preset in of_family(family):
        spec, model = part_of(preset)
        MODELS.check(spec, given=checking.GIVEN["model"])
        kinds = preset.needs.get("kind", [])
        if kinds != "vector":
            assert set([kinds] if isinstance(kinds, str) else kinds) <= {*taken(model)}


@each_family
def test_weights_are_published_for_what_the_preset_sets(family):
    for preset in of_family(family):
        spec, model = part_of(preset)
        settings = SETTINGS[preset.name]
        if not settings[WEIGHTS]:
            continue
        if not hasattr(model, "sources"):
            pytest.skip(f"{spec['name']} has no weights yet")
        source = model.sources()[settings[WEIGHTS]]
        whole = MODELS.resolve(spec, given=checking.GIVEN["model"])
        assert whole.items() >= dict(source.arguments).items()
        if FRONT in settings:
            assert source.rate in (0, settings["preprocess", "sample_rate"])
            wanted = dict(source.front_end).items()
            assert not wanted or any(part.items() >= wanted for part in settings[FRONT])


@each_kind
def test_clips_of_any_length_where_the_model_takes_them(preset):
    _, model = part_of(preset)
    if FRONT not in SETTINGS[preset.name]:
        return
    names = {part.get("model", part["name"]) for part in SETTINGS[preset.name][FRONT]}
    makes_one_length = bool(names & {"ast", "whisper"})
    varied = getattr(model, "varied", False)
    assert ("# - name: fit" in preset.fragment) == (not varied and not makes_one_length)


@each_kind
def test_nothing_of_another_model_stays(preset):
    text = "seeds:\n  - 1\n"
    other = presets.find("cnn10" if preset.needs else "Cnn14-32k-T")
    once = yaml_edit.merge(text, other.fragment)
    twice = yaml_edit.merge(yaml_edit.merge(text, preset.fragment), other.fragment)
    assert yaml_edit.values(twice) == yaml_edit.values(once)
    comments = (re.findall("#.*", written) for written in (twice, once))
    assert sorted(next(comments)) == sorted(next(comments))


@each_kind
def test_use_writes_what_fits_together(preset, study):
    part_of(preset)
    packages = {"": "rehear", "passt": "hear21passt"}
    pytest.importorskip(packages.get(preset.extra, preset.extra))
    front = [] if not preset.needs else ["log_mel_16k"]
    front = ["egemaps"] if preset.name == "ffnn" else front
    presets.use(study, [*front, preset.name])
    tree = yaml_edit.values(text_of(study))
    for keys, value in SETTINGS[preset.name].items():
        node = tree
        for key in keys:
            node = node[key]
        assert node == value
    assert presets.use(study, [*front, preset.name]) == ""
    read = params.load(study / "params.yaml")
    features, online = compatibility._front_end(read)
    for entry in online:
        features = features.after(entry.spec["name"], entry.apply)
    with torch.device("meta"):
        MODELS.build(
            read.model,
            num_outputs=2,
            input_shape=features.example.shape,
            sample_rate=features.signal.rate,
        )


def test_extras_are_those_of_the_toolkit():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    extras = text.partition("[project.optional-dependencies]")[2].partition("\n\n")[0]
    for preset in presets.everything():
        if preset.extra:
            assert f"\n{preset.extra} = [" in extras
            said = f"install: pip install 'rehear[{preset.extra}]'\n"
            assert said in presets.describe(preset)


def test_like():
    lines = presets.listing("model", like="cnn14").splitlines()
    names = [line.split()[1] for line in lines]
    assert {"cnn14", "cnn14-16k-pretrained", "cnn14-32k-pretrained"} <= set(names)
    assert all("cnn14" in name for name in names)


REFUSED = {
    "two": (
        ["cnn10", "cnn14"],
        "presets 'cnn10' and 'cnn14' are both models, and a study trains one; take",
    ),
    "weights": (["hubert-base-ls960", "hubert-base-ls960-pretrained"], "both models"),
    "front": (
        ["log_mel_32k", "Cnn14-16k-T"],
        "'cnn14-16k-pretrained' comes with the front end that it takes; leave 'log_me",
    ),
    "features": (["egemaps", "cnn10"], "use a preset that has one: `rehear use log_"),
    "vector": (
        ["ffnn"],
        "give a spectrogram (channels, bands, frames); use a preset that has one: `re",
    ),
    "frames": (["egemaps_lld", "ffnn"], "'ffnn' takes one vector for each clip, but"),
    "misspelt": (["wav2vec2-bse"], "Did you mean 'wav2vec2-base'?"),
    "peer": (["Cnn14-16kT"], "Did you mean 'Cnn14-16k-T'?"),
    "add": (["cnn10"], "preset 'cnn10' is no augmentation"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_leaves_the_file_as_it_was(case, study):
    names, said = REFUSED[case]
    old = text_of(study)
    with pytest.raises(ParamsError, match=re.escape(said)) as error:
        presets.use(study, names, add=case == "add")
    assert "\n" not in str(error.value)
    assert text_of(study) == old


@pytest.mark.parametrize("needs", [{}, {"kind": ["spectrogram", "image"]}])
def test_a_model_is_held_against_the_front_end_of_the_study(needs, study):
    text = "model:\n  name: cnn10\npreprocess:\n  transforms: [mono]\n"
    (study / "params.yaml").write_text(text, encoding="utf-8")
    read = params.load(study / "params.yaml")
    mine = Preset("mine", "model", "", text, needs=needs)
    with pytest.raises(ParamsError, match="`rehear use log_mel_16k mine`") as error:
        compatibility.check(read, [mine])
    assert "'mine' takes a spectrogram" in str(error.value)
    assert "but preprocess.transforms give a waveform" in str(error.value)


def test_own_files_may_hold_what_a_model_takes(study):
    text = "dataset: folder\npreprocess:\n  transforms: []\nmodel: ffnn\n"
    (study / "params.yaml").write_text(text, encoding="utf-8")
    presets.use(study, ["ffnn"])
    assert YAML(typ="safe").load(text_of(study))["model"]["hidden_size"] == 64
