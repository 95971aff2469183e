import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rehear
from rehear import repro
from rehear.errors import StageError

SOURCE = Path(rehear.__file__).resolve().parents[1]
LOCK = """schema: '2.0'
stages:
  train@2:
    cmd: a very long command of a stage that the YAML writer breaks off after eighty
      characters
    outs:
    - path: models/2
  post:
    cmd: post
  prep:
    cmd: prep
  old:
    cmd: old
"""
STAGE = """
import pathlib, sys, time
name, seconds, log = sys.argv[1], float(sys.argv[2]), pathlib.Path(sys.argv[3])
start = time.monotonic()
print("hello from", name, flush=True)
(log / f"{name.replace('/', '_')}.started").touch()
if pathlib.Path("broken").exists() and "2" in name:
    sys.exit("it broke")
time.sleep(seconds)
out = pathlib.Path("out", name)
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(name + pathlib.Path("input").read_text())
with (log / "times").open("a") as times:
    times.write(f"{name} {start} {time.monotonic()}\\n")
"""
PIPELINE = """
stages:
  prep:
    cmd: python stage.py prep 0 {log}
    deps: [stage.py, input]
    outs: [out/prep]
  train:
    matrix:
      seed: ${{seeds}}
    cmd: python stage.py train/${{item.seed}} ${{sleep}} {log}
    deps: [stage.py, out/prep]
    outs: ["out/train/${{item.seed}}"]
  post:
    cmd: python stage.py post 0 {log}
    deps: [stage.py, out/train]
    outs: [out/post]
"""


@pytest.fixture(autouse=True)
def outside_dvc(monkeypatch):
    for name in ("DVC_STAGE", "DVC_ROOT", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("repro")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture
def toy(template, tmp_path) -> Path:
    """A git and DVC repository: prep, train@2, train@1, post."""
    folder = tmp_path / "toy"
    shutil.copytree(template, folder)
    log = tmp_path / "log"
    log.mkdir()
    (folder / "dvc.yaml").write_text(PIPELINE.format(log=log))
    (folder / "params.yaml").write_text("seeds: [2, 1]\nsleep: 0.8\n")
    (folder / "stage.py").write_text(STAGE)
    (folder / "input").write_text("x")
    (folder / ".gitignore").write_text("/out\n")
    return folder


def times(toy: Path) -> dict[str, tuple[float, float]]:
    """When each stage last ran; empties the record."""
    file = toy.parent / "log" / "times"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return {
        name: (float(start), float(end))
        for name, start, end in (line.split() for line in lines)
    }


def test_side_by_side_is_like_one_by_one(toy, tmp_path, capfd):
    serial = tmp_path / "serial"
    shutil.copytree(toy, serial)
    assert repro.run(serial) == 0
    times(toy)

    assert repro.run(toy, jobs=2) == 0
    when = times(toy)
    assert set(when) == {"prep", "train/1", "train/2", "post"}
    # both had started before either ended
    begins, ends = zip(when["train/1"], when["train/2"], strict=True)
    assert max(begins) < min(ends)
    assert when["prep"][1] <= min(begins)
    assert max(ends) <= when["post"][0]
    lock = (toy / "dvc.lock").read_text()
    assert lock == (serial / "dvc.lock").read_text()
    assert "train@1 | hello from train/1" in capfd.readouterr().out
    assert repro.changed_stages(toy) == set()

    assert repro.run(toy, jobs=2) == 0
    assert times(toy) == {}
    assert "4 up to date" in capfd.readouterr().out
    assert (toy / "dvc.lock").read_text() == lock


def test_a_failing_stage_lets_others_end_and_starts_nothing_more(toy, capfd):
    (toy / "broken").touch()
    with pytest.raises(
        StageError, match=r"failed: train@2; not run: post; kept: "
    ) as e:
        repro.run(toy, jobs=2)
    assert "train@1" in str(e.value)
    assert "train@2 | it broke" in capfd.readouterr().err
    assert set(times(toy)) == {"prep", "train/1"}
    assert "train@1:" in (toy / "dvc.lock").read_text()

    (toy / "broken").unlink()
    repro.run(toy, jobs=2)
    assert set(times(toy)) == {"train/2", "post"}
    names = [
        line for line in (toy / "dvc.lock").read_text().splitlines() if "@" in line
    ]
    assert names == ["  train@2:", "  train@1:"]


@pytest.mark.slow
def test_single_runs_the_targets_alone(toy):
    repro.run(toy, ["prep"], jobs=2)
    (toy / "input").write_text("y")
    assert set(times(toy)) == {"prep"}
    repro.run(toy, ["train"], jobs=2, single=True)
    assert set(times(toy)) == {"train/1", "train/2"}
    repro.run(toy, ["train@1"], jobs=2)
    assert set(times(toy)) == {"prep", "train/1"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_the_stages(toy):
    (toy / "params.yaml").write_text("seeds: [2, 1]\nsleep: 60\n")
    code = "from pathlib import Path; from rehear import repro; "
    process = subprocess.Popen(
        [sys.executable, "-c", code + "repro.run(Path.cwd(), jobs=2)"],
        cwd=toy,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log = toy.parent / "log"
    deadline = time.monotonic() + 60
    while len(list(log.glob("train_*.started"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in output
    assert set(times(toy)) == {"prep"}
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True)
    assert str(log) not in lines.stdout


def test_jobs_and_pipelines_that_cannot_be(tmp_path):
    with pytest.raises(StageError, match="jobs: expected a number from 1, found 0"):
        repro.run(tmp_path, jobs=0)
    with pytest.raises(StageError, match="dvc dag --dot failed: ERROR: you are not in"):
        repro.read_graph(tmp_path)


GRAPH = repro.Graph(
    ("own.dvc", "prep", "train@2", "train@1", "post", "other/dvc.yaml:x"),
    {
        "own.dvc": frozenset(),
        "prep": frozenset({"own.dvc"}),
        "train@2": frozenset({"prep"}),
        "train@1": frozenset({"prep"}),
        "post": frozenset({"train@1", "train@2"}),
        "other/dvc.yaml:x": frozenset(),
    },
)


def test_select():
    below = {"own.dvc", "prep", "train@2", "train@1"}
    assert repro.select(GRAPH, []) == {*below, "post"}
    assert repro.select(GRAPH, ["train"]) == below
    assert repro.select(GRAPH, ["train@1"], single=True) == {"train@1"}
    with pytest.raises(
        StageError, match=r"no stage 'trian@1'\. Did you mean 'train@1'"
    ):
        repro.select(GRAPH, ["trian@1"])


def test_sort_lock_moves_entries_and_changes_nothing_else(tmp_path):
    file = tmp_path / "dvc.lock"
    file.write_text(LOCK)
    repro.sort_lock(tmp_path, GRAPH.order)
    text = file.read_text()
    names = [line.strip() for line in text.splitlines() if line.startswith("  ")]
    names = [name[:-1] for name in names if name.endswith(":") and name != "outs:"]
    assert names == ["prep", "train@2", "post", "old"]
    assert sorted(text.splitlines()) == sorted(LOCK.splitlines())


@pytest.mark.parametrize("text", ["", "schema: '2.0'\n", "stages:\n  a: [\n  b: ]\n"])
def test_sort_lock_leaves_what_it_does_not_understand(tmp_path, text):
    file = tmp_path / "dvc.lock"
    file.write_text(text)
    repro.sort_lock(tmp_path, ["b", "a"])
    assert file.read_text() == text
