"""Presets: what there is, what they write, and what they refuse."""

import re
import shutil

import pytest

from rehear import atomic, checking, compatibility, params, presets, yaml_edit
from rehear.augmentations import AUGMENTATIONS
from rehear.errors import ParamsError
from rehear.presets import Preset
from rehear.transforms import TRANSFORMS
from template.conftest import cookiecutter_config, fitting_answers, render

__all__ = ["cookiecutter_config", "render"]

EVERY = presets.everything()
# Those of models have tests of their own, in test_presets_models.py.
MADE = [preset for preset in EVERY if preset.kind == "model"]
WRITTEN = [preset for preset in EVERY if preset.kind != "model"]
CATALOGUES = {
    "preprocess.transforms": TRANSFORMS,
    "augment": AUGMENTATIONS,
}
# The presets of the peer, autrainer 0.6, by its names, and those of their values
# that stand under our names too.
PEER = {
    "log_mel_8k": {"n_fft": 256, "hop_length": 80, "n_mels": 64, "f_max": 4000},
    "log_mel_16k": {"n_fft": 512, "hop_length": 160, "n_mels": 64, "f_max": 8000},
    "log_mel_32k": {"n_fft": 1024, "hop_length": 320, "n_mels": 64, "f_max": 14000},
    "eGeMAPSv02": {"feature_set": "eGeMAPSv02", "level": "functionals"},
    "eGeMAPSv02-llds": {"feature_set": "eGeMAPSv02", "level": "lld"},
    "ComParE_2016": {"feature_set": "ComParE_2016", "level": "functionals"},
    "ComParE_2016-llds": {"feature_set": "ComParE_2016", "level": "lld"},
    "AugMix": {"transform": "AugMix"},
    "CutMix": {"alpha": 0.8},
    "MixUp": {"alpha": 0.8},
    "FrequencyMask": {"width": 10, "fill": "zero"},
    "TimeMask": {"width": 80, "fill": "zero"},
    "TimeShift": {"frames": 20, "fill": "wrap"},
    "TimeWarp": {"distance": 30},
    "SpecAugment": {"frequency_width": 10, "time_width": 80, "time_warp": 30, "p": 0.5},
    "GaussianBlur": {"kernel_size": 3, "sigma": [0.1, 2.0]},
    "GaussianNoise": {"std": 0.001},
    "RandAugment-light": {"num_ops": 2, "magnitude": 0},
    "RandAugment-medium": {"num_ops": 2, "magnitude": 15},
    "RandAugment-strong": {"num_ops": 2, "magnitude": 20},
    "RandGrayscale": {"transform": "RandomGrayscale", "p": 0.5},
    "RandRotation": {"degrees": 90, "p": 0.5},
    "SampleGaussianWhiteNoise": {"table": "snr.csv", "column": "snr", "fixed": True},
    "None": {},
}


@pytest.fixture
def study(tmp_path, repository):
    shutil.copy(repository / "params.yaml", tmp_path)
    return tmp_path


def text_of(study):
    return (study / "params.yaml").read_bytes()


def write(study, text):
    (study / "params.yaml").write_text(text, encoding="utf-8")


def parts_of(preset):
    """Yield the catalogue and the parts that a preset names."""
    for keys, value in preset.settings().items():
        for part in value if isinstance(value, list) else [value]:
            if catalogue := CATALOGUES.get(".".join(keys)):
                yield catalogue, part


def skip_without_parts(preset):
    """Skip a preset some of whose parts are not there yet.

    The masks got their arguments when ``spec_augment`` came.
    """
    needed = [(catalogue, part["name"]) for catalogue, part in parts_of(preset)]
    needed += [(AUGMENTATIONS, "spec_augment")] * preset.name.endswith("_mask")
    for catalogue, name in needed:
        if name not in catalogue.names():
            pytest.skip(f"there is no {name} yet")


@pytest.mark.parametrize("name", PEER)
def test_presets_of_the_peer_are_here_with_their_values(name):
    preset = presets.find(name)
    merged = {k: v for _, part in parts_of(preset) for k, v in part.items()}
    assert {key: merged[key] for key in PEER[name]} == PEER[name]
    assert presets.find(name.upper().replace("_", "-")) is preset


def test_there_are_no_other_presets_than_those_of_the_peer():
    found = {presets.find(name).name for name in PEER}
    assert found == {preset.name for preset in WRITTEN}
    kinds = [preset.kind for preset in EVERY]
    assert (kinds.count("preprocess"), kinds.count("augmentation")) == (7, 17)


def test_names_are_unique_and_plain():
    folded = [
        {name.casefold().replace("-", "_") for name in preset.names()}
        for preset in EVERY
    ]
    assert len(set.union(*folded)) == sum(map(len, folded))
    assert all(re.fullmatch("[a-z0-9_]+", preset.name) for preset in WRITTEN)
    assert all(re.fullmatch("[a-z0-9-]+", preset.name) for preset in MADE)


@pytest.mark.parametrize("preset", EVERY, ids=lambda preset: preset.name)
def test_a_preset_is_short_to_read(preset):
    assert preset.kind in presets.KINDS
    assert len(preset.summary) <= 75
    assert not preset.summary.endswith(".")
    assert preset.fragment.endswith("\n")
    assert max(map(len, preset.fragment.splitlines())) <= 88
    assert set(preset.needs) <= {"kind", "range", "sample_rate", "task"}


@pytest.mark.parametrize("preset", WRITTEN, ids=lambda preset: preset.name)
def test_comments_stand_inside_values_and_go_with_them(preset):
    """Else one preset would leave its comments to the next."""
    text = "seeds:\n  - 1\n"
    other = presets.find("egemaps" if preset.kind == "preprocess" else "none")
    once = yaml_edit.merge(text, other.fragment)
    twice = yaml_edit.merge(yaml_edit.merge(text, preset.fragment), other.fragment)
    assert twice == once


@pytest.mark.parametrize("preset", WRITTEN, ids=lambda preset: preset.name)
def test_parts_take_their_arguments(preset, tmp_path):
    skip_without_parts(preset)
    (tmp_path / "snr.csv").write_text("clip,snr\na,3\n", encoding="utf-8")
    rate = preset.settings().get(("preprocess", "sample_rate"), 16000)
    for catalogue, part in parts_of(preset):
        given = checking.GIVEN[catalogue.kind]
        catalogue.check(part, given=given)
        if catalogue is TRANSFORMS:
            catalogue.build(part, sample_rate=rate)
        else:
            catalogue.build(part, sample_rate=rate, study=tmp_path)


@pytest.mark.parametrize("preset", WRITTEN, ids=lambda preset: preset.name)
def test_what_a_preset_needs_is_what_its_parts_take(preset):
    """Apart from those that take anything until they are built."""
    skip_without_parts(preset)
    kinds = preset.needs.get("kind", [])
    for catalogue, part in parts_of(preset):
        takes = getattr(catalogue.get(part["name"]), "takes", "any")
        takes = {takes} if isinstance(takes, str) else set(takes)
        if kinds and "any" not in takes:
            assert {kinds} if isinstance(kinds, str) else set(kinds) <= takes


@pytest.mark.parametrize("preset", WRITTEN, ids=lambda preset: preset.name)
def test_use_changes_the_lines_of_its_keys_and_no_others(preset, study):
    skip_without_parts(preset)
    if preset.needs.get("kind") == "waveform":
        transforms = "preprocess:\n  transforms:\n    - name: mono\n"
        write(study, yaml_edit.merge(text_of(study).decode(), transforms))
    if "range" in preset.needs:
        scale = {"name": "scale"}
        if "scale" not in TRANSFORMS.names():
            pytest.skip("there is no scale yet")
        append_transform(study, scale)
    old = text_of(study).decode()
    presets.use(study, [preset.name])
    new = text_of(study).decode()
    assert outside(new, preset) == outside(old, preset)
    tree = yaml_edit.values(new)
    for keys, value in preset.settings().items():
        node = tree
        for key in keys:
            node = node[key]
        assert node == value
    assert presets.use(study, [preset.name]) == ""
    assert text_of(study).decode() == new
    comments = re.findall("#.*", preset.fragment)
    assert all(comment in new for comment in comments)


def append_transform(study, part):
    text = text_of(study).decode()
    marker = "      f_max: 8000\n"
    assert marker in text
    write(study, text.replace(marker, f"{marker}    - name: {part['name']}\n"))


def outside(text, *chosen):
    """Return the lines that belong to no key of some presets."""
    lines = text.splitlines(keepends=True)
    for keys in (keys for preset in chosen for keys in preset.settings()):
        indent = "  " * (len(keys) - 1)
        start = next(
            number
            for number, line in enumerate(lines)
            if line.startswith(f"{indent}{keys[-1]}:")
        )
        end = start + 1
        while lines[end].strip() and lines[end].startswith(f"{indent} "):
            end += 1
        del lines[start:end]
    return lines


@pytest.mark.parametrize(
    "answers", fitting_answers()[::3], ids=lambda a: "-".join(a.values())
)
def test_use_in_every_study_that_the_template_writes(answers, render, tmp_path):
    study = render(tmp_path, **answers)
    old = text_of(study).decode()
    chosen = [presets.find("log_mel_32k"), presets.find("mixup")]
    presets.use(study, [preset.name for preset in chosen])
    new = text_of(study).decode()
    assert outside(new, *chosen) == outside(old, *chosen)
    checking.check_parts(params.load(study / "params.yaml"))
    assert presets.use(study, ["mixup", "log_mel_32k"]) == ""


def test_the_diff_is_small_and_true(study):
    old = text_of(study).decode()
    changes = re.sub(r"-\d+,3 \+\d+,5", "-48,3 +48,5", presets.use(study, ["mixup"]))
    assert changes == (
        "--- params.yaml\n+++ params.yaml\n@@ -48,3 +48,5 @@\n \n"
        "-augment: []             # on the training split only\n"
        "+augment:                # on the training split only\n"
        "+  - name: mixup         # targets are mixed likewise\n"
        "+    alpha: 0.8\n \n"
    ).rstrip("\n")
    assert old != text_of(study).decode()


def test_a_dry_run_writes_nothing(study):
    old = text_of(study)
    changes = presets.use(study, ["mixup"], dry_run=True)
    assert text_of(study) == old
    assert presets.use(study, ["mixup"]) == changes


def test_add_appends_once(study):
    presets.use(study, ["mixup"], add=True)
    presets.use(study, ["gaussian_noise"], add=True)
    augment = params.load(study / "params.yaml").augment
    assert [part["name"] for part in augment] == ["mixup", "gaussian_noise"]
    assert presets.use(study, ["mixup", "gaussian_noise"], add=True) == ""
    assert presets.use(study, ["none"], add=True) == ""
    presets.use(study, ["none"])
    assert "\naugment: []             # on the training split only\n" in (
        text_of(study).decode()
    )


REFUSED = {
    "unknown": (["mixupp"], {}, "unknown preset 'mixupp'. Did you mean 'mixup'?"),
    "alias": (["egemapsv2"], {}, "Did you mean 'eGeMAPSv02'?"),
    "both": (
        ["mixup", "GaussianNoise"],
        {},
        "or `rehear use --add mixup gaussian_noise`",
    ),
    "fronts": (["log_mel_8k", "egemaps"], {}, "both set preprocess.sample_rate; take"),
    "add": (["egemaps"], {"add": True}, "'egemaps' is no augmentation"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_leaves_the_file_as_it_was(case, study):
    names, options, said = REFUSED[case]
    old = text_of(study)
    with pytest.raises(ParamsError, match=re.escape(said)) as error:
        presets.use(study, names, **options)
    assert "\n" not in str(error.value)
    assert text_of(study) == old
    assert [file.name for file in study.iterdir()] == ["params.yaml"]


AUGMENT = "augment:\n  - name: gaussian_noise\n"


def made(**needs):
    return Preset("mine", "augmentation", "", AUGMENT, needs=needs)


@pytest.mark.parametrize(
    ("needs", "transforms", "said"),
    [
        (
            {"kind": ["spectrogram", "image"]},
            "[mono]",
            "an image (channels, height, width), but preprocess.transforms give a wave",
        ),
        (
            {"kind": "spectrogram"},
            "[mono]",
            "log_mel",
        ),
        (
            {"kind": "spectrogram"},
            "[mono]",
            "or use a preset that has one: `rehear use log_mel_16k mine`",
        ),
        (
            {"kind": "spectrogram"},
            "[mono, opensmile]",
            "preprocess.transforms give features of shape (88,); add",
        ),
        (
            {"kind": "waveform"},
            "[mono, log_mel, {name: standardize, online: true}]",
            "give 'log_mel' and the transforms behind it `online: true`, and write the",
        ),
        (
            {"kind": "waveform"},
            "[mono, log_mel]",
            "lines of `rehear presets mine` by hand, with `order: 0.5`",
        ),
        ({"range": [0, 1]}, "[mono, log_mel]", "takes values from 0 to 1, but"),
        ({"task": "tagging"}, "[mono]", "is for tagging, but task is classification"),
        ({"sample_rate": [8000, 32000]}, "[mono]", "sample_rate 8000 or 32000, but"),
    ],
)
def test_what_a_preset_needs_is_refused_with_the_way_out(
    needs, transforms, said, study, monkeypatch
):
    write(study, f"preprocess:\n  transforms: {transforms}\n")
    monkeypatch.setattr(presets, "matches", lambda word: [made(**needs)])
    old = text_of(study)
    with pytest.raises(ParamsError, match=re.escape(said)):
        presets.use(study, ["mine"])
    assert text_of(study) == old


@pytest.mark.parametrize(
    ("needs", "transforms"),
    [
        ({"kind": "spectrogram"}, "[mono, log_mel]"),
        ({"kind": "spectrogram"}, "[mono, {name: log_mel, online: true}]"),
        ({"kind": "spectrogram"}, "[mono, {name: opensmile, level: lld}]"),
        ({"kind": "waveform"}, "[mono, fit]"),
        ({"kind": "waveform", "task": ["tagging", "classification"]}, "[]"),
        ({"range": [-100, 100], "sample_rate": 16000}, "[mono, log_mel]"),
        ({"range": [-9, 9]}, "[mono, log_mel, {name: standardize, online: true}]"),
    ],
)
def test_what_a_preset_needs_is_found(needs, transforms, study):
    write(study, f"{AUGMENT}preprocess:\n  transforms: {transforms}\n")
    compatibility.check(params.load(study / "params.yaml"), [made(**needs)])


def test_own_files_may_hold_anything(study):
    write(study, f"dataset: folder\n{AUGMENT}preprocess:\n  transforms: []\n")
    values = params.load(study / "params.yaml")
    for kind in ("waveform", "spectrogram", "image"):
        compatibility.check(values, [made(kind=kind, range=[0, 1])])


class Stripes:
    """An augmentation of spectrograms."""

    takes, gives = "spectrogram", "same"


@pytest.fixture
def stripes(monkeypatch):
    monkeypatch.setattr(AUGMENTATIONS, "_table", dict(AUGMENTATIONS._table))
    AUGMENTATIONS.add("stripes", Stripes)


@pytest.mark.usefixtures("stripes")
def test_a_front_end_that_augmentations_do_not_take_is_refused(study):
    text = text_of(study).decode()
    write(study, text.replace("augment: []", "augment: [{name: stripes}]"))
    old = text_of(study)
    with pytest.raises(ParamsError, match=r"augment\.0: augmentation 'str") as error:
        presets.use(study, ["egemaps"])
    assert "the preset no_augmentation empties the list" in str(error.value)
    assert text_of(study) == old
    presets.use(study, ["egemaps", "none"])


@pytest.mark.usefixtures("stripes")
def test_an_augmentation_between_transforms_is_checked_where_it_stands(study):
    text = "preprocess:\n  transforms: [mono, {name: log_mel, online: true}]\n"
    for order in (1, 1.5):
        write(study, f"{text}augment: [{{name: stripes, order: {order}}}]\n")
        compatibility.check(params.load(study / "params.yaml"), [])
    write(study, f"{text}augment: [gain, {{name: stripes, order: 0.5}}]\n")
    with pytest.raises(ParamsError, match=r"augment\.1: .* spectrogram .* a waveform"):
        compatibility.check(params.load(study / "params.yaml"), [])


def test_transforms_that_do_not_build_are_refused(study):
    front = Preset("mine", "preprocess", "", "preprocess:\n  sample_rate: 8000\n")
    text = yaml_edit.merge(text_of(study).decode(), front.fragment)
    write(study, text)
    with pytest.raises(ParamsError, match="f_max"):
        compatibility.check(params.load(study / "params.yaml"), [front])


def test_a_mistake_elsewhere_in_the_file_is_told_with_its_line(study):
    text = text_of(study).decode().replace("epochs:", "epoch:")
    write(study, text)
    with pytest.raises(
        ParamsError, match=r"params.yaml line \d+: train.epoch: unknown"
    ):
        presets.use(study, ["mixup"])
    assert text_of(study).decode() == text
    write(study, "seeds: [1\n")
    with pytest.raises(ParamsError, match="not valid YAML"):
        presets.use(study, ["mixup"])


def test_an_interruption_leaves_the_old_file_and_nothing_beside_it(study, monkeypatch):
    old = text_of(study)

    def interrupted(number):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        presets.use(study, ["mixup"])
    assert text_of(study) == old
    assert [file.name for file in study.iterdir()] == ["params.yaml"]


def test_line_ends_of_windows_stay(study):
    text = text_of(study).replace(b"\n", b"\r\n")
    (study / "params.yaml").write_bytes(text)
    presets.use(study, ["log_mel_32k", "mixup"])
    new = text_of(study)
    assert new.count(b"\n") == new.count(b"\r\n")


def test_listing():
    every = presets.listing().splitlines()
    assert every[1].split()[:2] == ["preprocess", "log_mel_16k"]
    assert {preset.name for preset in WRITTEN} <= {
        line.split()[1] for line in every[:-2]
    }
    few = presets.listing("augmentations").splitlines()
    assert len(few) == 17
    assert {line.split()[0] for line in few} == {"augmentation"}
    assert presets.listing("Augmentation") == "\n".join(few)
    assert len(presets.listing(like="RANDAUGMENT").splitlines()) == 3
    assert presets.listing("preprocess", like="egemaps").count("\n") == 1


def test_models_take_a_line_for_each_family():
    every = presets.listing().splitlines()
    models = [line for line in every if line.startswith("model ")]
    assert len(models) == len({preset.family for preset in MADE}) < 20
    assert "torchvision" in models[1]
    assert models[1].endswith("networks for images, of torchvision: 154 presets")
    assert every[-1].startswith("`rehear presets --like NAME` lists the presets of a")
    assert len(presets.listing("model").splitlines()) == len(MADE)
    assert len(presets.listing("torchvision").splitlines()) == 154
    assert presets.listing(like="hubert") == presets.listing("hubert")


def test_one_preset_is_shown_in_full():
    shown = presets.listing("eGeMAPSv02")
    assert shown == presets.listing(like="88 functionals")
    assert shown.startswith("preset egemaps (preprocess)\n")
    assert "also called: eGeMAPSv02\n" in shown
    assert "      level: functionals\n" in shown
    assert "needs: kind spectrogram or image\n" in presets.listing("SpecAugment")
    assert "needs: range 0 to 1\n" in presets.listing("AugMix")
    assert "install: pip install 'rehear[opensmile]'\n" in shown
    assert "family: whisper\n" in presets.listing("Whisper-FFNN-Tiny-T")


@pytest.mark.parametrize(
    ("word", "like", "said"),
    [
        ("augmentatio", "", "Did you mean 'augmentation'?"),
        ("spec_augmnt", "", "Did you mean 'spec_augment'?"),
        ("torchvison", "", "Did you mean 'torchvision'?"),
        ("zzz", "", "unknown preset or kind 'zzz'. See `rehear presets`; kinds are"),
        (None, "zzz", "no preset is like 'zzz'. See `rehear presets`"),
    ],
)
def test_what_is_not_there_gets_the_likely_one(word, like, said):
    with pytest.raises(ParamsError, match=re.escape(said)):
        presets.listing(word, like=like)


def test_a_name_of_two_presets_asks_which(monkeypatch):
    two = [
        Preset("no_augmentation", "augmentation", "", "a: 1\n", aka=("None",)),
        Preset("no_scheduler", "scheduler", "", "a: 1\n", aka=("None",)),
    ]
    monkeypatch.setattr(presets, "everything", lambda: tuple(two))
    said = "may be no_augmentation (augmentation) or no_scheduler (scheduler)"
    with pytest.raises(ParamsError, match=re.escape(said)):
        presets.find("none")
    assert presets.find("no-scheduler") is two[1]
