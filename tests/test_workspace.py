import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import rehear
from rehear import workspace
from rehear.errors import DataError, StageError

SOURCE = Path(rehear.__file__).resolve().parents[1]


@pytest.fixture
def under_dvc(monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "train")


@pytest.fixture
def clean_imports(monkeypatch):
    """Undo what load_parts adds to sys.path and sys.modules."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def make_wheel(folder: Path, change: str = "", name: str = "rehear-0.1.0") -> Path:
    """A wheel of the running package; `change` is a file with another hash."""
    rows = []
    for file in sorted((SOURCE / "rehear").glob("*.py")):
        content = file.read_bytes() + (b"#" if file.name == change else b"")
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
        rows.append(f"rehear/{file.name},sha256={digest.decode().rstrip('=')},1")
    rows.append(f"{name}.dist-info/RECORD,,")
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.dist-info/RECORD", "\n".join(rows) + "\n")
    return wheel


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


# enter


def test_enter_runs_the_code_of_the_workspace(tmp_path):
    write(tmp_path / "src/rehear/__init__.py", "")
    write(
        tmp_path / "src/rehear/__main__.py",
        "import sys, rehear; print(rehear.__file__, *sys.argv[1:])",
    )
    answer = subprocess.run(
        [
            sys.executable,
            "-c",
            "from rehear import workspace; workspace.enter(); print('original')",
            "train",
            "--seed=1",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    file, *arguments = answer.stdout.split()
    assert Path(file).samefile(tmp_path / "src/rehear/__init__.py")
    assert arguments == ["train", "--seed=1"]


def test_enter_does_not_loop(tmp_path, monkeypatch):
    write(tmp_path / "src/rehear/__init__.py", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REHEAR_ENTERED", str(Path.cwd() / "src"))
    with pytest.raises(StageError, match="runs instead of"):
        workspace.enter()


@pytest.mark.parametrize("has_source", [True, False])
def test_enter_does_nothing_when_the_right_code_runs(tmp_path, monkeypatch, has_source):
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("re-executed"))
    monkeypatch.setenv("REHEAR_ENTERED", "x")
    monkeypatch.chdir(SOURCE.parent if has_source else tmp_path)
    workspace.enter()
    assert "REHEAR_ENTERED" not in os.environ  # children may have to enter theirs


# study_root


def test_study_root_is_found_from_below(tmp_path):
    write(tmp_path / "params.yaml", "")
    inner = tmp_path / "data" / "raw"
    inner.mkdir(parents=True)
    assert workspace.study_root(inner) == tmp_path.resolve()


def test_study_root_says_what_to_do(tmp_path):
    with pytest.raises(StageError, match="change to the folder of a study"):
        workspace.study_root(tmp_path)


# load_parts


def test_parts_are_imported_as_a_package(tmp_path, clean_imports):
    write(tmp_path / "src/finches/__init__.py", "")
    write(tmp_path / "src/finches/parts.py", "class Net: pass")
    module = workspace.load_parts(tmp_path)
    assert module.Net.__module__ == "finches.parts"


def test_a_study_without_parts(tmp_path):
    write(tmp_path / "src/rehear/parts.py", "raise RuntimeError")
    assert workspace.load_parts(tmp_path) is None


def test_parts_of_two_packages_are_refused(tmp_path):
    write(tmp_path / "src/one/parts.py", "")
    write(tmp_path / "src/two/parts.py", "")
    with pytest.raises(StageError, match=r"src/one/parts\.py, src/two/parts\.py"):
        workspace.load_parts(tmp_path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x = 1\nx.y\n", r"src/wrens/parts\.py line 2: AttributeError"),
        ("x = 1\ndef f(:\n", r"src/wrens/parts\.py line 2: SyntaxError"),
        ("import not_there\n", r"src/wrens/parts\.py line 1: ModuleNotFoundError"),
    ],
)
def test_broken_parts_name_file_and_line(tmp_path, clean_imports, text, place):
    write(tmp_path / "src/wrens/parts.py", text)
    with pytest.raises(StageError, match=place):
        workspace.load_parts(tmp_path)


def test_errors_of_the_toolkit_pass_through_parts(tmp_path, clean_imports):
    write(
        tmp_path / "src/wrens/parts.py",
        "from rehear.errors import DataError\nraise DataError('known')",
    )
    with pytest.raises(DataError, match="known"):
        workspace.load_parts(tmp_path)


def test_parts_shadowed_by_another_package_are_refused(tmp_path, clean_imports):
    write(tmp_path / "elsewhere/robins/parts.py", "")
    write(tmp_path / "study/src/robins/parts.py", "")
    sys.path.insert(0, str(tmp_path / "elsewhere"))
    sys.path.append(str(tmp_path / "study/src"))
    with pytest.raises(StageError, match="rename the"):
        workspace.load_parts(tmp_path / "study")


# check_stage


def test_check_stage_is_for_dvc_only(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    write(tmp_path / "src/rehear/__init__.py", "")
    workspace.check_stage(tmp_path)


def test_check_stage_accepts_its_own_source(under_dvc, monkeypatch):
    monkeypatch.setattr(workspace, "_check_untracked", lambda _: None)
    workspace.check_stage(SOURCE.parent)


def test_check_stage_refuses_another_source(tmp_path, under_dvc):
    write(tmp_path / "src/rehear/__init__.py", "")
    with pytest.raises(StageError, match="the workspace has its own"):
        workspace.check_stage(tmp_path)


def test_check_stage_accepts_the_pinned_wheel(tmp_path, under_dvc):
    make_wheel(tmp_path / "vendor")
    workspace.check_stage(tmp_path)


def test_check_stage_refuses_another_toolkit(tmp_path, under_dvc):
    make_wheel(tmp_path / "vendor", change="errors.py")
    with pytest.raises(StageError, match=r"errors\.py differs .*pip install"):
        workspace.check_stage(tmp_path)


def test_check_stage_refuses_two_wheels(tmp_path, under_dvc):
    make_wheel(tmp_path / "vendor")
    make_wheel(tmp_path / "vendor", name="rehear-0.2.0")
    with pytest.raises(StageError, match="several toolkits"):
        workspace.check_stage(tmp_path)


def test_check_stage_names_a_broken_wheel(tmp_path, under_dvc):
    write(tmp_path / "vendor/rehear-0.1.0-py3-none-any.whl", "version https://git-lfs")
    with pytest.raises(StageError, match="not a readable wheel"):
        workspace.check_stage(tmp_path)


def test_check_stage_refuses_untracked_source(tmp_path, under_dvc):
    git(tmp_path, "init", "-q")
    write(tmp_path / ".gitignore", "scratch.py\n")
    write(tmp_path / "src/finches/scratch.py", "")
    workspace.check_stage(tmp_path)
    write(tmp_path / "src/finches/new.py", "")
    with pytest.raises(StageError, match=r"git add src/finches/new\.py"):
        workspace.check_stage(tmp_path)
    git(tmp_path, "add", "src")
    workspace.check_stage(tmp_path)


def test_check_stage_without_git(tmp_path, under_dvc, monkeypatch):
    write(tmp_path / "src/finches/new.py", "")
    workspace.check_stage(tmp_path)  # not a repository
    monkeypatch.setenv("PATH", "")
    workspace.check_stage(tmp_path)


# lock

HOLD = """
import sys, time
from pathlib import Path
from rehear import workspace
with workspace.lock(Path(sys.argv[1]), "train@1-none"):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(study: Path, **env: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(study)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), **env},
    )
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def keep_sigterm(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    yield
    signal.signal(signal.SIGTERM, before)


def test_lock_names_the_process_that_holds_it(tmp_path, keep_sigterm):
    with hold(tmp_path) as process:
        with (
            pytest.raises(StageError, match=f"process {process.pid}; .*kill"),
            workspace.lock(tmp_path, "train@1-none"),
        ):
            pytest.fail("two at a time")
        with workspace.lock(tmp_path, "train@2-none"):
            pass
        process.kill()
    with workspace.lock(tmp_path, "train@1-none"):
        pass


def test_sigterm_unwinds_a_stage(tmp_path):
    with hold(tmp_path) as process:
        process.terminate()
        assert process.wait(10) == 128 + signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_stage_ends_with_the_dvc_that_started_it(tmp_path):
    parent = """
import subprocess, sys, time
p = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]])
print(p.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", parent, HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "DVC_STAGE": "train"},
    ) as process:
        lines = {process.stdout.readline().strip() for _ in range(2)}
        stage = int((lines - {"held"}).pop())
        process.kill()
    deadline = time.monotonic() + 10
    while alive(stage) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(stage)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# the rest


def test_checkpoints_live_in_the_repository_that_dvc_copied(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert workspace.checkpoint_root(tmp_path) == tmp_path / ".ckpt"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "original"))
    assert workspace.checkpoint_root(tmp_path) == tmp_path / "original" / ".ckpt"


def test_record_run(tmp_path):
    file = workspace.record_run(tmp_path, "train-1-none", 1.23456, device="cpu")
    run = json.loads(file.read_text())
    assert file == tmp_path / ".rehear/runs/train-1-none.json"
    assert run["seconds"] == 1.235
    assert run["device"] == "cpu"
    assert run["environment"]["packages"]["numpy"]
