"""Linters, types, sizes, and what must not be in the repository."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
LOCK = ROOT / "requirements.lock"


def tracked(pattern: str = "*") -> list[Path]:
    """Return the files that git tracks; skip where this is no repository."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not in a git repository")
    command = ["git", "ls-files", "-z", "--", pattern]
    answer = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = (ROOT / name for name in answer.stdout.split("\0")[:-1])
    return [file for file in files if file.is_file()]


@pytest.mark.parametrize(
    "command",
    ["ruff check", "ruff format --check", "mypy"],
)
def test_linters_and_types_find_nothing(command: str) -> None:
    program, *arguments = command.split()
    answer = subprocess.run(
        [PROGRAMS / program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_modules_stay_short() -> None:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "hooks").glob("*.py")]
    assert files
    lengths = {
        file.relative_to(ROOT).as_posix(): len(file.read_text("utf-8").splitlines())
        for file in files
    }
    assert {name: n for name, n in lengths.items() if n > 400} == {}


def test_modules_have_names_that_say_something() -> None:
    vague = {"utils", "util", "common", "helpers", "misc", "base", "manager"}
    assert [f for f in (ROOT / "src").rglob("*.py") if f.stem in vague] == []


def locked() -> dict[str, str]:
    """Return the entries of the lock by name."""
    blocks = re.split(r"^(?=[a-zA-Z0-9])", LOCK.read_text("utf-8"), flags=re.M)
    return {re.split(r"[\s=<>;\[@]", block)[0]: block for block in blocks if block}


def required() -> set[str]:
    """Return the names that pyproject.toml asks for, its extras included."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    names = r'^\s*"([A-Za-z0-9._-]+?)(?:\[.*?\])?\s*[<>=!~].*",?$'
    lists = re.findall(r"^[\w-]+ = \[\n?(.*?)\]$", text, flags=re.M | re.S)
    inline = re.findall(r'^\w+ = \["([A-Za-z0-9._-]+)[<>=]', text, flags=re.M)
    found = {name for part in lists for name in re.findall(names, part, flags=re.M)}
    return {re.sub(r"[._-]+", "-", name.lower()) for name in {*found, *inline}}


def test_lock_covers_what_the_project_asks_for() -> None:
    names = required()
    assert {"torch", "dvc", "opensmile", "dvc-s3", "pytest"} <= names
    assert names - locked().keys() == set()


def test_lock_has_a_hash_for_every_package() -> None:
    for name, entry in locked().items():
        assert re.match(r"\S+==\S+", entry), name
        assert "--hash=sha256:" in entry, name


def test_lock_names_no_index() -> None:
    text = LOCK.read_text("utf-8")
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)


@pytest.mark.slow
def test_lock_is_what_uv_compiles(tmp_path: Path) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed")
    rule = re.search(
        r"^lock:.*?\n\t\$\(UV\) (.*?)(?<!\\)\n",
        (ROOT / "Makefile").read_text("utf-8"),
        flags=re.M | re.S,
    )
    assert rule
    fresh = tmp_path / LOCK.name
    shutil.copyfile(LOCK, fresh)  # known versions are kept
    command = rule[1].replace("\\\n", " ").replace("-o requirements.lock", "")
    answer = subprocess.run(
        [uv, *command.split(), "-o", fresh],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        pytest.skip(f"uv reaches no package index: {answer.stderr.strip()[-200:]}")
    assert fresh.read_text("utf-8") == LOCK.read_text("utf-8"), "run make lock"


def test_no_path_of_a_machine_is_tracked() -> None:
    home = re.compile(r"(?<![\w.$}])/(?:home|Users|root|work)/[\w.-]+/")
    found = []
    for file in tracked():
        if file == Path(__file__) or file.suffix in (".png", ".whl"):
            continue
        for number, line in enumerate(
            file.read_text("utf-8", errors="replace").splitlines(), start=1
        ):
            if len(line) < 2000 and home.search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []


def test_tracked_files_are_small() -> None:
    generated = ("reports/", "requirements.lock")  # written by programs
    large = [
        file.relative_to(ROOT).as_posix()
        for file in tracked()
        if file.stat().st_size > 500_000
    ]
    assert [name for name in large if not name.startswith(generated)] == []


@pytest.mark.parametrize(
    "name", ["README.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "CONTRIBUTING.md"]
)
def test_what_every_project_has_is_there(name: str) -> None:
    assert (ROOT / name).read_text("utf-8").strip()


def test_changelog_names_the_version() -> None:
    import rehear

    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## Unreleased" in text or f"## {rehear.__version__}" in text
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"version: {rehear.__version__}\n" in citation
