"""A study made with cruft follows the template and keeps its own changes."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from template.conftest import commit

pytestmark = pytest.mark.slow


def cruft(folder, *arguments):
    # cruft has no __main__
    code = "from cruft.__main__ import app; app(prog_name='cruft')"
    answer = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


@pytest.fixture
def study(template_copy, cookiecutter_config, tmp_path, monkeypatch):
    monkeypatch.setenv("COOKIECUTTER_CONFIG", str(cookiecutter_config))
    cruft(tmp_path, "create", str(template_copy), "--no-input")
    made = tmp_path / "my-audio-study"
    # cruft calls the hooks again to compare, so they leave git to the user
    assert not (made / ".git").exists()
    commit(made, "Begin")
    return made


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_an_update_brings_the_template_and_keeps_the_study(study, template_copy):
    assert "up to date" in cruft(study, "check").replace("\n", " ")
    replace(study / "params.yaml", "lr: 0.002", "lr: 0.0007")
    (study / "src" / "my_audio_study" / "filters.py").write_text("# mine\n")
    commit(study, "Try a lower rate")

    template = template_copy / "{{cookiecutter.study_slug}}"
    with (template / "Makefile").open("a") as stream:
        stream.write("\nnews:\n\t@echo 'from the template'\n")
    replace(template / "params.yaml", "batch_size: 32", "batch_size: 16")
    with (template_copy / "src" / "rehear" / "errors.py").open("a") as stream:
        stream.write("# a newer toolkit\n")
    commit(template_copy, "Improve")

    cruft(study, "update", "-y")
    params = (study / "params.yaml").read_text(encoding="utf-8")
    assert "lr: 0.0007" in params
    # numbers of a study change only by its own hand
    assert "batch_size: 32" in params
    assert "from the template" in (study / "Makefile").read_text(encoding="utf-8")
    assert (study / "src" / "my_audio_study" / "filters.py").is_file()
    (wheel,) = (study / "vendor").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        assert b"# a newer toolkit" in archive.read("rehear/errors.py")
    assert list(study.rglob("*.rej")) == []
    assert "up to date" in cruft(study, "check").replace("\n", " ")
