import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import rehear
from rehear import commits, reproduction, verify
from rehear.errors import StageError

SOURCE = Path(rehear.__file__).resolve().parents[1]
STAGES = """
import json, os, pathlib, statistics, sys, time

def write(path, value):
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))

def read(path):
    return json.loads(pathlib.Path(path).read_text())

def fetch():
    time.sleep(float(os.environ.get("TOY_SLEEP", "0")))
    lines = pathlib.Path("data/own/labels.csv").read_text().split()
    write("data/labels.json", [int(line.split(",")[1]) for line in lines])

def train(seed):
    labels = read("data/labels.json")
    noise = float(os.environ.get("TOY_NOISE", "0"))
    write(f"models/{seed}/weights.json", sum(labels) / len(labels) + noise)

def evaluate(seed):
    uar = read(f"models/{seed}/weights.json") + 0.02 * int(seed)
    write(f"predictions/{seed}/scores.json", {"test": {"uar": {"value": uar}}})

def postprocess():
    scores = [read(f"predictions/{s}/scores.json") for s in (1, 2)]
    runs = [score["test"]["uar"]["value"] for score in scores]
    std = statistics.stdev(runs)
    write("metrics/summary.json",
          {"uar": {"mean": statistics.mean(runs), "std": std, "n": 2}, "runs": 2})
    rows = [f"{s},{v}" for s, v in zip((1, 2), runs)]
    table = "\\n".join(["seed,test_uar", *rows])
    pathlib.Path("metrics/runs.csv").write_text(table + "\\n")
    write("reports/report.json", time.time())
    cpu = os.environ.get("TOY_CPU", "one")
    write("provenance.json",
          {"date": time.time(), "environment": {"processor": cpu, "host": time.time()}})

globals()[sys.argv[1]](*sys.argv[2:])
"""
PIPELINE = """
stages:
  fetch:
    cmd: python stages.py fetch
    deps: [stages.py, data/own]
    outs: [data/labels.json]
  train:
    foreach: [1, 2]
    do:
      cmd: python stages.py train ${item}
      deps: [stages.py, data/labels.json]
      outs: ["models/${item}"]
  evaluate:
    foreach: [1, 2]
    do:
      cmd: python stages.py evaluate ${item}
      deps: [stages.py, "models/${item}"]
      outs: ["predictions/${item}"]
  postprocess:
    cmd: python stages.py postprocess
    deps: [stages.py, predictions/1, predictions/2]
    params: [decimals]
    metrics:
      - metrics/summary.json: {cache: false}
    outs:
      - metrics/runs.csv: {cache: false}
      - reports/report.json: {cache: false}
      - provenance.json: {cache: false}
"""
LABELS = "".join(f"clip{number},{number % 2}\n" for number in range(10))
SPREAD = 0.5 * 0.02 / 2**0.5


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    for name in ("DVC_STAGE", "DVC_ROOT", "PYTHONPATH", "TOY_NOISE", "TOY_CPU"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Toy")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "toy@example.org")
    # where the clones go, so that tests can see what is left
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def command(folder: Path, *words: str) -> None:
    done = subprocess.run(
        words, cwd=folder, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def dvc(folder: Path, *words: str) -> None:
    command(folder, sys.executable, "-m", "dvc", *words)


def commit(folder: Path) -> None:
    command(folder, "git", "add", "-A")
    identity = ("-c", "user.name=Toy", "-c", "user.email=toy@example.org")
    command(folder, "git", *identity, "commit", "-q", "-m", "study")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A study that has run and is committed."""
    folder = tmp_path_factory.mktemp("verify") / "study"
    (folder / "data/own").mkdir(parents=True)
    (folder / "data/own/labels.csv").write_text(LABELS)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("decimals: 3\n")
    (folder / "stages.py").write_text(STAGES)
    (folder / ".gitignore").write_text(
        "/models\n/predictions\n/data/labels.json\n/.rehear\nREPRODUCED.md\n"
    )
    command(folder, "git", "init", "-q")
    dvc(folder, "init", "-q")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "-q"],
        cwd=folder,
        check=True,
        env={**os.environ, "PATH": path},
    )
    commit(folder)
    return folder


@pytest.fixture
def study(finished, tmp_path) -> Path:
    folder = tmp_path / "study"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


def left_behind() -> list[Path]:
    return list(Path(tempfile.gettempdir()).iterdir())


def run(study: Path, capsys, revision: str = "HEAD", **options) -> tuple[int, dict]:
    code = verify.run(study, revision, env="current", as_json=True, **options)
    return code, json.loads(capsys.readouterr().out)


def test_bit_identical(study, capsys):
    (study / "stages.py").write_text("raise SystemExit('uncommitted')")
    code, outcome = run(study, capsys)
    assert (code, outcome["verdict"]) == (0, "bit-identical")
    assert [stage["verdict"] for stage in outcome["stages"]] == ["bit-identical"] * 6
    assert "uncommitted changes" in outcome["notes"][0]
    assert set(outcome["not_compared"]) == {"reports", "provenance.json"}
    text = (study / "REPRODUCED.md").read_text()
    assert text.startswith("# Reproduced: bit-identical\n")
    assert outcome["commit"] in text
    assert left_behind() == []


def test_within_tolerance(study, capsys, monkeypatch):
    monkeypatch.setenv("TOY_NOISE", str(0.9 * SPREAD))
    monkeypatch.setenv("TOY_CPU", "another")
    code, outcome = run(study, capsys)
    assert (code, outcome["verdict"]) == (0, "within tolerance")
    assert outcome["stages"][0]["verdict"] == "bit-identical"
    assert outcome["first_difference"] == "train@1"
    assert "the environment differs in processor" in outcome["cause"]
    assert outcome["environment_differences"] == {"processor": ["one", "another"]}
    assert outcome["tolerances"]["uar"]["mean"] == pytest.approx(SPREAD)
    text = (study / "REPRODUCED.md").read_text()
    assert "| processor | one | another |" in text


def test_different(study, capsys, monkeypatch):
    monkeypatch.setenv("TOY_NOISE", str(1.1 * SPREAD))
    assert verify.run(study, env="current") == 1
    out = capsys.readouterr().out
    assert "DIFFERENT: commit" in out
    assert "train@1 is the first stage with another output, although its" in out
    assert "it is not deterministic" in out
    assert "metrics/summary.json uar mean: 0.53 became 0.537" in out


def test_an_edited_number_is_named(study, capsys):
    file = study / "metrics/summary.json"
    file.write_text(file.read_text().replace("0.53", "0.93"))
    commit(study)
    code, outcome = run(study, capsys)
    assert (code, outcome["verdict"]) == (1, "different")
    assert outcome["stages"][-1]["edited"] == ["metrics/summary.json"]
    assert "metrics/summary.json of stage postprocess was edited" in outcome["cause"]
    assert outcome["stages"][-1]["gaps"][0]["recorded"] == 0.93


@pytest.mark.slow
def test_an_edited_number_with_an_edited_lock(study, capsys):
    file, lock = study / "metrics/summary.json", study / "dvc.lock"
    before = reproduction.comparison.digest(file)
    file.write_text(file.read_text().replace("0.53", "0.531"))
    after = reproduction.comparison.digest(file)
    lock.write_text(lock.read_text().replace(before, after))
    commit(study)
    code, outcome = run(study, capsys)
    # half a percent is less than the seeds' spread, but nothing was trained
    assert (code, outcome["first_difference"]) == (1, "postprocess")


def test_a_flipped_label_is_named_by_its_stage(study, capsys):
    (study / "data/own/labels.csv").write_text(LABELS.replace("clip0,0", "clip0,1"))
    commit(study)
    code, outcome = run(study, capsys)
    assert (code, outcome["first_difference"]) == (1, "fetch")
    assert "the commit's data/own is not what its dvc.lock records" in outcome["cause"]


@pytest.mark.slow
def test_an_earlier_commit_and_a_stale_entry(study, capsys):
    lock = study / "dvc.lock"
    stale = "  old:\n    cmd: old\n    outs:\n    - path: old\n      md5: a\n"
    lock.write_text(lock.read_text() + stale)
    commit(study)
    code, outcome = run(study, capsys)
    assert code == 0
    assert "still lists old" in outcome["notes"][0]
    (study / "stages.py").write_text("raise SystemExit(3)")
    commit(study)
    assert run(study, capsys, "HEAD~1")[0] == 0


@pytest.mark.slow
def test_own_data_comes_from_the_remote_or_the_cache(study, tmp_path, capsys):
    command(study, "git", "rm", "-q", "-r", "--cached", "data/own")
    dvc(study, "add", "-q", "data/own")
    commit(study)
    code, outcome = run(study, capsys)  # no remote: from the original's cache
    assert (code, outcome["verdict"]) == (0, "bit-identical")
    dvc(study, "remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    dvc(study, "push", "-q")
    commit(study)
    shutil.rmtree(study / ".dvc/cache")
    assert run(study, capsys)[0] == 0
    shutil.rmtree(tmp_path / "store")
    code, outcome = run(study, capsys)
    assert code == 2
    assert "neither in the DVC remote nor in" in outcome["reason"]


@pytest.mark.slow
def test_failing_stage(study, capsys):
    (study / "stages.py").write_text("raise SystemExit('no microphone')")
    commit(study)
    assert verify.run(study, env="current", keep=True) == 2
    err = capsys.readouterr().err
    assert "  no microphone" in err
    log = study / ".rehear" / "verify.log"
    assert str(log) in err
    assert "no microphone" in log.read_text()
    (kept,) = left_behind()
    assert f"kept: {kept.resolve()}" in err
    assert (kept / "clone" / "dvc.yaml").is_file()


def test_what_cannot_be_run(study, tmp_path, capsys):
    code, outcome = run(study, capsys, "v9")
    assert (code, outcome["verdict"]) == (2, "not run")
    assert "no commit, branch, tag or experiment 'v9'" in outcome["reason"]
    command(study, "git", "rm", "-q", "--cached", "dvc.lock")
    command(study, "git", "commit", "-q", "-m", "no lock")
    assert "run dvc repro and commit" in run(study, capsys)[1]["reason"]
    (tmp_path / "plain").mkdir()
    code, outcome = run(tmp_path / "plain", capsys)
    assert code == 2
    assert "not a git repository" in outcome["reason"]
    assert verify.run(study, "HEAD~1", env="lock") == 2
    assert "use --env current" in capsys.readouterr().err
    assert left_behind() == []


@pytest.mark.slow
def test_a_study_below_the_root_of_its_repository(finished, tmp_path, capsys):
    top = tmp_path / "papers"
    shutil.copytree(finished, top / "owls", symlinks=True)
    shutil.rmtree(top / "owls" / ".git")
    command(top, "git", "init", "-q")
    shutil.rmtree(top / "owls" / ".dvc")
    dvc(top / "owls", "init", "-q", "--subdir")
    commit(top)
    code, outcome = run(top / "owls", capsys)
    assert (code, outcome["verdict"]) == (0, "bit-identical")


def test_an_experiment_is_found_by_its_name(study):
    head = commits.git(study, "rev-parse", "HEAD").strip()
    commits.git(study, "update-ref", f"refs/exps/ab/{head[2:]}/hoary-owl", head)
    assert commits.find_commit(study, "hoary-owl").sha == head


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_leaves_nothing_behind(study, tmp_path):
    code = "from pathlib import Path; from rehear import verify; "
    process = subprocess.Popen(
        [sys.executable, "-c", code + "verify.run(Path.cwd(), env='current')"],
        cwd=study,
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "TMPDIR": tempfile.gettempdir(),
            "TOY_SLEEP": "60",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "fetch" in line:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    assert left_behind() == []


# the locked environment

UV = """#!/bin/sh
echo "uv $*" >> {log}
if [ "$1" = venv ]; then
    for target; do :; done
    mkdir -p "$target/bin"
    printf '#!/bin/sh\\nexec {python} "$@"\\n' > "$target/bin/python"
    chmod +x "$target/bin/python"
fi
[ "$1 $2" != "$REFUSE" ] || {{ echo "error: no such index"; exit 2; }}
"""


@pytest.fixture
def uv_calls(tmp_path, monkeypatch) -> Path:
    """Replace uv by one that records what it is asked for."""
    log = tmp_path / "uv.log"
    program = tmp_path / "bin" / "uv"
    program.parent.mkdir()
    program.write_text(UV.format(log=log, python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return log


@pytest.mark.skipif(sys.platform == "win32", reason="shell script")
def test_locked_environment(study, uv_calls, capsys, monkeypatch):
    (study / "requirements.lock").write_text("")
    (study / "vendor").mkdir()
    (study / "vendor/rehear-0.1.0-py3-none-any.whl").write_text("")
    commit(study)
    assert verify.run(study) == 0
    venv, lock, wheel = uv_calls.read_text().splitlines()
    assert venv.startswith(f"uv venv --python {sys.executable} ")
    assert lock.endswith("--require-hashes -r requirements.lock")
    assert wheel.endswith(".whl")
    assert "--no-deps" in wheel
    monkeypatch.setenv("REFUSE", "pip install")
    assert verify.run(study) == 2
    assert "cannot be installed: error: no such index" in capsys.readouterr().err


def test_without_uv_it_is_pip(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    wheel = tmp_path / "rehear.whl"
    made = reproduction._installation(
        tmp_path / "environment", tmp_path / "python", tmp_path, [wheel]
    )
    pip = [tmp_path / "python", "-m", "pip", "install"]
    assert made == [
        [sys.executable, "-m", "venv", tmp_path / "environment"],
        [*pip, "--require-hashes", "-r", "requirements.lock"],
        [*pip, "--no-deps", wheel],
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="shell script")
def test_the_clone_runs_its_own_toolkit(study, tmp_path):
    found = commits.find_commit(study, "HEAD")
    again = reproduction.Reproduction(
        study, found, folder=tmp_path / "x y", log=tmp_path / "log", say=print
    )
    main = again.study / "src/rehear/cli.py"
    main.parent.mkdir(parents=True)
    (main.parent / "__init__.py").touch()
    main.write_text("import sys\ndef script(): print(__file__, sys.argv[1:])\n")
    programs = again.make_environment("current")
    answer = subprocess.run(
        ["rehear", "train", "--seed=1"],
        env=programs.variables(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == f"{main} ['train', '--seed=1']\n"
    with pytest.raises(StageError, match="expected lock or current, found 'old'"):
        again.make_environment("old")
