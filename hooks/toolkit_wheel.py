"""Build the toolkit's wheel, which a study keeps in ``vendor/``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: 2020-02-02, so that the time of a build is not in its bytes.
EPOCH = "1580601600"


class BuildError(Exception):
    """The wheel cannot be built; the text says what to do."""


def build(template: Path, wheel: Path) -> None:
    """Build ``wheel`` from the sources in ``template``.

    Args:
        template: root of the template's repository
        wheel: file to write; its folder is made

    Raises:
        BuildError: if no tool is there, or none can build it
    """
    wheel.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    with tempfile.TemporaryDirectory(prefix="rehear-wheel-") as folder:
        for command in commands(template, Path(folder)):
            problem = _run(command)
            if not problem:
                return _keep(Path(folder), wheel)
            failures.append(f"'{' '.join(command[:3])} …' says: {problem}")
    raise BuildError(
        "cannot build the toolkit's wheel, which every study holds. Install uv "
        "(https://docs.astral.sh/uv/), make sure that it reaches a package index "
        "(it needs hatchling), and generate the study again. "
        + ("; ".join(failures) or "Neither uv nor pip nor build was found")
    )


def commands(template: Path, folder: Path) -> list[list[str]]:
    """Return the commands that can build the wheel here, the fastest first."""
    found = []
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        found.append([uv, "build", "--quiet", "--wheel", "-o", str(folder)])
    python = sys.executable
    pip = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    if _imports("pip"):
        found.append(pip)
    if _imports("build"):
        found.append([python, "-m", "build", "--wheel", "-o", str(folder)])
    return [[*command, str(template)] for command in found]


def _imports(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _run(command: list[str]) -> str:
    """Run a command; return why it failed, in one line, or nothing."""
    # An active environment of the caller is not to be used, nor complained about.
    kept = {key: text for key, text in os.environ.items() if key != "VIRTUAL_ENV"}
    variables = {**kept, "SOURCE_DATE_EPOCH": EPOCH}
    try:
        answer = subprocess.run(
            command, env=variables, capture_output=True, text=True, check=False
        )
    except OSError as error:
        return str(error)
    if answer.returncode == 0:
        return ""
    lines = [line.strip() for line in (answer.stderr or answer.stdout).splitlines()]
    return " ".join(line for line in lines if line)[-300:] or "no message"


def _keep(folder: Path, wheel: Path) -> None:
    built = sorted(folder.glob("*.whl"))
    if [file.name for file in built] != [wheel.name]:
        names = ", ".join(file.name for file in built) or "nothing"
        raise BuildError(
            f"expected {wheel.name}, but {names} was built; __toolkit in "
            "cookiecutter.json must be the toolkit's version"
        )
    shutil.copyfile(built[0], wheel)
