"""dvc.yaml of the reference study: what its stages list, and what they must not."""

import importlib.util
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rehear import params, pipeline
from rehear.augmentations import AUGMENTATIONS
from rehear.errors import ParamsError

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = PIPELINE["stages"]


def _closure():
    spec = importlib.util.spec_from_file_location(
        "closure", Path(__file__).with_name("closure.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_stage_lists_exactly_the_code_that_it_reads(stage):
    listed = [dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")]
    closure = _closure()
    assert listed == closure.grouped(closure.closure(stage)), "run: make deps"


def test_stages_are_named_as_their_modules_commands_and_files():
    from rehear import cli

    assert tuple(STAGES) == cli.STAGES
    for name, stage in STAGES.items():
        assert stage["cmd"].split()[:2] == ["rehear", name]


def test_evaluation_code_does_not_rerun_training():
    evaluated = {"evaluation.py", "statistics.py"}
    for stage in ("fetch", "preprocess", "train"):
        names = {Path(dep).name for dep in STAGES[stage]["deps"]}
        assert not names & evaluated


def options(stage):
    for output in [*stage.get("outs", []), *stage.get("metrics", [])]:
        if isinstance(output, dict):
            yield from output.items()
        else:
            yield output, {}


@pytest.mark.parametrize("stage", list(STAGES))
def test_no_output_persists_and_every_stage_has_dependencies(stage):
    assert STAGES[stage]["deps"]
    for _, settings in options(STAGES[stage]):
        assert not settings.get("persist")


def test_only_the_last_stage_has_outputs_that_git_tracks():
    for name, stage in STAGES.items():
        cached = [settings.get("cache", True) for _, settings in options(stage)]
        assert all(cached) if name != "postprocess" else not any(cached)


def test_every_parameter_is_read_by_a_stage():
    listed = [key for stage in STAGES.values() for key in stage["params"]]
    for key in params.Params.__dataclass_fields__:
        assert key in listed, key


def test_dvc_leaves_the_template_and_byte_code_alone():
    ignored = (ROOT / ".dvcignore").read_text(encoding="utf-8").split()
    assert {"/{{cookiecutter.study_slug}}", "__pycache__"} <= set(ignored)


class Noise:
    reads = ("folder",)

    def __init__(self, *, folder: str = "") -> None:
        self.folder = folder


class Nested:
    nested = ("parts",)

    def __init__(self, *, parts: tuple = ()) -> None:
        self.parts = parts


@pytest.fixture
def noises(monkeypatch):
    monkeypatch.setattr(AUGMENTATIONS, "_table", dict(AUGMENTATIONS._table))
    AUGMENTATIONS.add("noise_of", Noise)
    AUGMENTATIONS.add("nested", Nested)


def study(folder, deps):
    (folder / "data" / "noise").mkdir(parents=True)
    lines = "\n".join(f"      - {dep}" for dep in deps)
    (folder / "dvc.yaml").write_text(f"stages:\n  train:\n    deps:\n{lines}\n")
    return folder


def read_by(part):
    return AUGMENTATIONS.files([part])


@pytest.mark.parametrize("dep", ["data/noise", "data", "data/noise/"])
@pytest.mark.parametrize("nested", [False, True])
def test_files_of_parts_are_listed(tmp_path, noises, dep, nested):
    part = {"name": "noise_of", "folder": "data/noise"}
    if nested:
        inner = {"name": "nested", "parts": [part]}
        part = {"name": "nested", "parts": ["gain", inner]}
    pipeline.check_files(study(tmp_path, [dep]), "train", read_by(part))
    (tmp_path / "dvc.yaml").write_text("stages:\n  train:\n    deps:\n      - src\n")
    message = "'train' reads data/noise for 'noise_of'.*'- data/noise'"
    with pytest.raises(ParamsError, match=message):
        pipeline.check_files(tmp_path, "train", read_by(part))


def test_files_of_parts_must_exist(tmp_path, noises):
    folder = study(tmp_path, ["data"])
    part = {"name": "noise_of", "folder": "data/none"}
    with pytest.raises(ParamsError, match="'noise_of' reads data/none, which does not"):
        pipeline.check_files(folder, "train", read_by(part))


def test_parts_that_read_nothing_need_nothing(tmp_path, noises):
    folder = study(tmp_path, ["src"])
    pipeline.check_files(folder, "train", read_by({"name": "noise_of"}))


def test_a_study_without_dvc_lists_everything(tmp_path, noises):
    (tmp_path / "a.wav").touch()
    part = {"name": "noise_of", "folder": "a.wav"}
    pipeline.check_files(tmp_path, "train", read_by(part))
