"""The lock of a study is the part of the toolkit's lock that it needs."""

import itertools
import re
import shutil
import subprocess

import pytest

EXTRAS = [
    list(extras)
    for count in range(3)
    for extras in itertools.combinations(("opensmile", "s3"), count)
]


@pytest.fixture(scope="module")
def lock_module(hook):
    return hook("study_lock")


@pytest.fixture(scope="module")
def lock(repository):
    return (repository / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project(repository):
    return (repository / "pyproject.toml").read_text(encoding="utf-8")


def names(text):
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def test_parsing_and_rendering_keeps_every_byte(lock, lock_module):
    entries = list(lock_module.parse(lock))
    assert "".join(map(lock_module.render, entries)) == lock
    assert all(entry.via for entry in entries)


@pytest.mark.parametrize("extras", EXTRAS, ids="-".join)
def test_only_what_was_asked_for_is_kept(extras, lock, project, lock_module):
    text = lock_module.cut(lock, project, extras=extras, name="birds")
    kept = names(text)
    assert kept >= {"torch", "dvc", "numpy", "pytest", "iniconfig"}
    assert ("opensmile" in kept) == ("opensmile" in extras)
    assert ("aiobotocore" in kept) == ("s3" in extras)
    assert not kept & {"cookiecutter", "cruft", "hypothesis", "librosa", "mypy", "ruff"}
    assert "rehear (pyproject.toml)" not in text
    assert "    # via birds (pyproject.toml:dev)\n" in text
    assert "http" not in re.sub(r"(dvc-http|aiohttp\S*|http\S*==)", "", text).replace(
        "httpx2", ""
    ).replace("httpcore2", "")


def test_an_extra_that_does_not_exist_is_a_mistake(lock, project, lock_module):
    with pytest.raises(ValueError, match="no list 'opensmil'"):
        lock_module.cut(lock, project, extras=["opensmil"], name="birds")


def test_requirements_are_found_on_one_line_or_several(lock_module):
    text = 'dependencies = [\n  "A_b>=1",\n  "c[x]==2.*",\n]\ns3 = ["dvc-s3>=3"]\n'
    assert lock_module.requirements(text, "dependencies") == {"a-b", "c"}
    assert lock_module.requirements(text, "s3") == {"dvc-s3"}


@pytest.mark.slow
@pytest.mark.parametrize("front_end", ["log_mel", "egemaps"])
@pytest.mark.parametrize("remote", ["none", "s3"])
def test_uv_resolves_to_the_same(front_end, remote, render, tmp_path):
    if shutil.which("uv") is None:
        pytest.skip("needs uv")
    study = render(tmp_path, hooks=True, front_end=front_end, remote=remote)
    cut = (study / "requirements.lock").read_text(encoding="utf-8")
    answer = subprocess.run(
        ["make", "lock"], cwd=study, capture_output=True, text=True, check=False
    )
    if re.search(r"[Ff]ailed to fetch|error sending request", answer.stderr):
        pytest.skip("no package index can be reached")
    assert answer.returncode == 0, answer.stderr
    resolved = (study / "requirements.lock").read_text(encoding="utf-8")
    assert loosened(cut) == loosened(resolved.partition("\n\n#")[0] + "\n")


def loosened(text):
    """Leave out a marker that may be wider in the cut: more is installed then.

    A package that developers need everywhere, but a study only somewhere, keeps
    the marker of the whole.
    """
    return re.sub(r"^(tzdata==\S+) .*", r"\1 \\", text, flags=re.MULTILINE)
