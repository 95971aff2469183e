"""The command line: what it says, what it imports, how it ends."""

import errno
import os
import subprocess
import sys

import pytest

from rehear import cli


def rehear(*arguments, cwd, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "rehear", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


HEAVY = ("torch", "numpy", "pandas", "ruamel", "omegaconf", "dvc", "vl_convert", "tqdm")


def test_help_imports_nothing_heavy(tmp_path):
    code = (
        "import sys, rehear.cli\n"
        "try:\n    rehear.cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.argv[1:] if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *HEAVY],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(stage in done.stdout for stage in cli.STAGES)


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("rehear.stages.fetch", ("torch", "pandas", "sklearn", "scipy")),
        ("rehear.stages.preprocess", ("torch", "pandas", "sklearn", "scipy")),
        ("rehear.stages.postprocess", ("torch", "pandas", "sklearn", "scipy")),
        ("rehear.report.data_page", ("torch", "pandas", "sklearn", "scipy", "dvc")),
        ("rehear.stages.train", ("pandas", "sklearn", "accelerate", "torch._dynamo")),
        (
            "rehear.stages.evaluate",
            ("pandas", "sklearn", "accelerate", "torch._dynamo"),
        ),
    ],
)
def test_stages_import_only_what_they_need(module, banned):
    code = f"import sys, {module}; print([n for n in sys.argv[1:] if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, *banned],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture
def data(tmp_path):
    """A study behind the stage ``fetch``."""
    from made_data import made
    from rehear import atomic, manifest

    described, clips = made(tmp_path, count=15, leaks=1)
    atomic.write_json(tmp_path / "data" / "card.json", described)
    manifest.write(tmp_path / "data" / "manifest.csv", clips)
    (tmp_path / "params.yaml").write_text("{}")
    return tmp_path


def test_data_shows_the_card_on_any_terminal(data, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    assert "Köln (5)" in rehear("data", cwd=data)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    plain = rehear("data", cwd=data)
    assert plain.isascii()
    assert "THE SPLIT LEAKS" in plain


def test_data_prints_the_card_as_it_is(data, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    card = (data / "data" / "card.json").read_text(encoding="utf-8")
    assert rehear("data", "--json", cwd=data) == card


def test_data_writes_a_page(data):
    below, page = data / "notes", data / "data" / "card.html"
    below.mkdir()
    said = rehear("data", "--html", cwd=below)
    assert said == f"{page}: holds recordings, so mind their licence\n"
    assert "Sounds of a &lt;pond&gt;" in page.read_text()
    rehear("data", "--html", "pond.html", cwd=below)
    assert (below / "pond.html").read_text() == page.read_text()


def test_data_before_fetch_says_what_to_run(tmp_path):
    (tmp_path / "params.yaml").write_text("{}")
    for options in ([], ["--json"], ["--html"]):
        said = rehear("data", *options, cwd=tmp_path, code=1)
        assert "data/card.json does not exist; run `rehear fetch`" in said
        assert said.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_outside_a_study_it_says_where_to_go(tmp_path):
    said = rehear("check", cwd=tmp_path, code=1)
    assert said.startswith("rehear: no params.yaml in ")
    assert said.count("\n") == 1


def test_a_mistake_in_params_is_one_line_without_traceback(tmp_path):
    (tmp_path / "params.yaml").write_text("train:\n  epoch: 3\n")
    said = rehear("train", cwd=tmp_path, code=1)
    assert (
        "params.yaml line 2: train.epoch: unknown key. Did you mean 'epochs'?" in said
    )
    assert said.count("\n") == 1


def test_a_stage_before_its_turn_says_what_to_run(tmp_path):
    (tmp_path / "params.yaml").write_text("{}")
    for stage in ("preprocess", "train"):
        assert "run `rehear fetch`" in rehear(stage, cwd=tmp_path, code=1)
    assert "run `rehear train` first" in rehear("evaluate", cwd=tmp_path, code=1)


def test_a_misspelt_part_shows_before_the_first_stage(tmp_path):
    (tmp_path / "params.yaml").write_text("model: cnn110\n")
    said = rehear("fetch", cwd=tmp_path, code=1)
    assert "params.yaml: model: unknown model 'cnn110'. Did you mean 'cnn10'?" in said
    assert not (tmp_path / "data").exists()


def test_unknown_stage_gets_the_likely_one(tmp_path):
    (tmp_path / "params.yaml").write_text("{}")
    said = rehear("run", "fetch", "trian", cwd=tmp_path, code=1)
    assert "unknown stage 'trian'. Did you mean 'train'?" in said


def test_list_and_show(tmp_path):
    every = rehear("list", cwd=tmp_path)
    assert "models" in every
    assert "cnn10, cnn14, cnn6" in every
    assert "log_mel" in rehear("list", "transforms", cwd=tmp_path)
    shown = rehear("show", "cnn10", cwd=tmp_path)
    assert "  name: cnn10\n  width: 64\n" in shown
    assert "arxiv.org" in rehear("show", "mixup", cwd=tmp_path)
    said = rehear("show", "cnn110", cwd=tmp_path, code=1)
    assert "Did you mean 'cnn10'?" in said
    said = rehear("list", "modles", cwd=tmp_path, code=1)
    assert "Did you mean 'models'?" in said


def test_show_prints_a_part_and_the_preset_of_its_name(tmp_path):
    shown = rehear("show", "leaf", cwd=tmp_path)
    assert shown.startswith("model leaf\n")
    assert "\npublished weights, for pretrained.weights:\n" in shown
    assert "\n\npreset leaf (model)\n" in shown


@pytest.mark.parametrize(
    ("name", "argument"),
    [("leaf", "filters: 40"), ("timm", "architecture: efficientnet_b0")],
)
def test_show_needs_no_library_of_a_model(tmp_path, name, argument):
    code = (
        "import sys; sys.modules['timm'] = None; import rehear.cli; "
        "sys.exit(rehear.cli.main(['show', sys.argv[1]]))"
    )
    command = [sys.executable, "-c", code, name]
    shown = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert shown.startswith(f"model {name}\n")
    assert f"\n  {argument}\n" in shown
    assert f"published weights cannot be listed: model '{name}' needs the pack" in shown
    assert ("\npreset leaf (model)\n" in shown) == (name == "leaf")


def test_presets_are_listed_and_shown(tmp_path):
    every = rehear("presets", cwd=tmp_path)
    assert "log_mel_16k" in every
    assert "spec_augment" in every
    assert "log_mel" not in rehear("presets", "augmentation", cwd=tmp_path)
    shown = rehear("presets", "--like", "egemapsv02-LLDS", cwd=tmp_path)
    assert shown.startswith("preset egemaps_lld (preprocess)\n")
    assert rehear("presets", "egemaps_lld", cwd=tmp_path) == shown
    assert rehear("show", "egemaps_lld", cwd=tmp_path) == shown
    said = rehear("presets", "egemap", cwd=tmp_path, code=1)
    assert "Did you mean 'egemaps'?" in said


def test_use_writes_presets_into_params(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("# mine\nseeds: [1]  # one\n")
    said = rehear("use", "mixup", "--dry-run", cwd=tmp_path)
    assert "+augment:\n+  - name: mixup" in said
    assert "augment" not in file.read_text()
    below = tmp_path / "notes"
    below.mkdir()
    assert rehear("use", "mixup", cwd=below) == said
    assert file.read_text().startswith("# mine\nseeds: [1]  # one\naugment:\n")
    assert "nothing to change" in rehear("use", "MixUp", cwd=tmp_path)
    rehear("use", "--add", "gaussian_noise", cwd=tmp_path)
    assert file.read_text().count("- name: ") == 2


def test_use_refuses_in_one_line_and_writes_nothing(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("preprocess: {transforms: [mono]}\n")
    said = rehear("use", "cutmx", cwd=tmp_path, code=1)
    assert "unknown preset 'cutmx'. Did you mean 'cutmix'?" in said
    said += rehear("use", "mixup", "gaussian_noise", cwd=tmp_path, code=1)
    assert said.count("\n") == 2
    assert file.read_text() == "preprocess: {transforms: [mono]}\n"
    file.unlink()
    said = rehear("use", "mixup", cwd=tmp_path, code=1)
    assert said.startswith("rehear: no params.yaml in ")


def test_show_writes_out_defaults_as_loadable_yaml(tmp_path):
    from rehear import params

    (tmp_path / "params.yaml").write_text("train: {lr: 1e-4}\n")
    (tmp_path / "all.yaml").write_text(rehear("show", cwd=tmp_path))
    assert params.load(tmp_path / "all.yaml") == params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), 130, "interrupted; run the same command to go on"),
        (OSError(errno.ENOSPC, "No space", "data/x"), 1, "data/x: no space left on"),
        (OSError(errno.EACCES, "Permission denied", "x"), 1, "x: Permission denied"),
    ],
)
def test_how_it_ends(monkeypatch, capsys, tmp_path, error, code, text):
    from rehear import workspace

    def fail(_):
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workspace, "study_root", fail)
    assert cli.main(["check"]) == code
    assert text in capsys.readouterr().err


def test_programming_errors_keep_their_traceback(monkeypatch, tmp_path):
    from rehear import workspace

    def fail(_):
        raise ZeroDivisionError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workspace, "study_root", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["check"])
