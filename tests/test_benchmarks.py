import json
import os
import statistics
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from conftest import ROOT
from rehear import audio

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs os.wait4")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def test_command_measures_time_and_memory(tmp_path):
    from benchmarks.measure import command

    code = "import time; x = bytearray(80 << 20); time.sleep(0.1); sum(range(10**6))"
    cost = command([sys.executable, "-c", code], cwd=tmp_path)
    assert cost.wall > 0.1
    assert 0 < cost.cpu < cost.wall + 0.1
    assert cost.peak > 80


def test_command_says_what_failed(tmp_path):
    from benchmarks.measure import BenchmarkError, command

    with pytest.raises(BenchmarkError, match=r"(?s)ended with 3:\nno such clip"):
        command(
            [sys.executable, "-c", "print('no such clip'); raise SystemExit(3)"],
            cwd=tmp_path,
        )


def test_measured_commands_get_no_variables_that_slow_them_down(monkeypatch):
    from benchmarks.measure import environment

    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    variables = environment(EXTRA="1")
    assert "PYTHONDONTWRITEBYTECODE" not in variables
    assert "OMP_NUM_THREADS" not in variables
    assert variables["EXTRA"] == "1"
    assert environment(OMP_NUM_THREADS="1")["OMP_NUM_THREADS"] == "1"


def test_sides_take_turns(capsys):
    from benchmarks.measure import Cost, interleave

    order = []

    def side(name):
        def run(repeat):
            order.append(name)
            return Cost(repeat + 1.0, 1.0)

        return run

    costs = interleave({"a": side("a"), "b": side("b")}, 3)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [cost.wall for cost in costs["b"]] == [1.0, 2.0, 3.0]


def test_table_has_medians_and_says_what_was_missed():
    from benchmarks.measure import Cost
    from benchmarks.results import Comparison, Finding, markdown

    peer = [Cost(10, 9, 100), Cost(30, 9, 100), Cost(11, 9, 100)]
    ours = [Cost(1, 1, 50), Cost(2, 1, 50), Cost(9, 1, 50)]
    met = Comparison("extraction", peer, ours, target=5.0)
    missed = Comparison("training", peer, ours, target=6.0, unit="ms")
    assert met.ratio() == 5.5
    assert met.pairs() == pytest.approx([11 / 9, 10, 15])
    assert met.record()["met"]
    assert not missed.record()["met"]
    table = markdown([Finding("some", [met, missed], ["equal"])])
    assert "| extraction | 11.00 s | 2.00 s | **5.50** | 1.22–15.00 (n=3) |" in table
    assert "≥ 5 met" in table
    assert "11000 ms" in table
    assert "≥ 6 missed" in table
    assert "- some: equal" in table
    json.dumps(met.record())


def test_welch_is_that_of_scipy():
    from benchmarks.ffnn import welch

    stats = pytest.importorskip("scipy.stats")
    one, other = [0.84, 0.86, 0.85, 0.83, 0.87], [0.83, 0.85, 0.81, 0.84, 0.85]
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    low, high = welch(one, other)
    # whole degrees of freedom, rounded down: a little wider
    assert low <= expected.low
    assert high >= expected.high
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-3)
    assert statistics.mean([low, high]) == pytest.approx(0.014)


def test_paced_process_steps_when_it_is_told(tmp_path):
    from benchmarks.measure import environment
    from benchmarks.pacing import Paced

    code = textwrap.dedent("""
        from benchmarks.pacing import Pacer
        pacer = Pacer()
        for step in range(1000):
            pacer.step()
            open(f"step-{step}", "w").close()
    """)
    env = environment(PYTHONPATH=str(ROOT))
    paced = Paced([sys.executable, "-c", code], cwd=tmp_path, env=env)
    try:
        paced.run(2)
        assert len(list(tmp_path.glob("step-*"))) == 2
        cost = paced.run(3)
        assert len(list(tmp_path.glob("step-*"))) == 5
        assert cost.wall > 0
        assert paced.end() > 1
    finally:
        paced.kill()


def test_paced_process_that_fails_is_reported(tmp_path):
    from benchmarks.measure import BenchmarkError, environment
    from benchmarks.pacing import Paced

    code = "raise SystemExit('no features')"
    paced = Paced([sys.executable, "-c", code], cwd=tmp_path, env=environment())
    with pytest.raises(BenchmarkError, match="no features"):
        paced.run(1)


def test_recordings_have_the_official_split(recordings):
    from benchmarks import fsdd

    folder = fsdd.folder(recordings / "fsdd")
    found = fsdd.recordings(folder)
    sizes = {s: sum(r.split == s for r in found) for s in ("train", "dev", "test")}
    assert sizes == {"train": 2400, "dev": 300, "test": 300}
    few = fsdd.recordings(folder, few=True)
    assert len({(r.label, r.split) for r in few}) == 30


def test_missing_recordings_are_refused(tmp_path):
    from benchmarks import fsdd
    from benchmarks.measure import BenchmarkError

    with pytest.raises(BenchmarkError, match="give --data"):
        fsdd.folder(tmp_path)
    (tmp_path / "0_george_0.wav").touch()
    with pytest.raises(BenchmarkError, match="1 recordings; expected 3000"):
        fsdd.recordings(fsdd.folder(tmp_path))


def test_written_study_runs(tmp_path):
    from benchmarks import study
    from benchmarks.fsdd import Recording

    from rehear.store import Store

    folder = tmp_path / "audio"
    folder.mkdir()
    recordings = []
    for index, split in enumerate(["train", "train", "dev", "test"] * 2):
        label = str(index % 2)
        noise = np.random.default_rng(index).uniform(-0.5, 0.5, (1, 4000))
        file = f"{label}_george_{index}.wav"
        audio.write(folder / file, noise.astype(np.float32), 8000)
        recordings.append(Recording(file, label, "george", split))
    written = study.Study.write(
        tmp_path / "study", folder, recordings, transforms=study.LOG_MEL
    )
    cost = written.run("run", "fetch", "preprocess", OMP_NUM_THREADS="1")
    assert cost.cpu > 0
    store = Store.open(written.folder / "data" / "features")
    assert len(store) == 8
    assert store.shape == (1, 64, 51)
    written.forget("data/features")
    assert not (written.folder / "data" / "features").exists()


def test_peer_configurations_are_yaml(tmp_path):
    from benchmarks.fsdd import Recording
    from benchmarks.peer import Peer
    from ruamel.yaml import YAML

    peer = Peer(tmp_path / "peer", tmp_path / "bin")
    recordings = [Recording(f"{i}_a_0.wav", str(i), "a", "train") for i in range(3)]
    for _ in range(2):  # the second time everything is there
        peer.set_up(tmp_path, recordings)
    files = list(peer.folder.glob("conf/**/*.yaml"))
    assert len(files) == 5
    for file in files:
        assert isinstance(YAML(typ="safe").load(file.read_text()), dict)
    rows = (peer.folder / "data" / "fsdd" / "train.csv").read_text().split()
    assert rows == ["file,label", "0_a_0.wav,0", "1_a_0.wav,1", "2_a_0.wav,2"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )


def test_command_line_helps_and_knows_its_benchmarks():
    assert "startup log_mel egemaps ffnn cnn10 batches scale" in run("--help").stdout
    answer = run("log_mell")
    assert answer.returncode == 1
    assert answer.stderr.startswith("benchmarks: unknown benchmark 'log_mell'.")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["startup", "log_mel", "egemaps", "ffnn", "cnn10"])
def test_quick_benchmark_runs(name, tmp_path, recordings):
    if not (ROOT / ".benchmarks" / "peer" / ".installed").is_file():
        pytest.skip("the peer is not installed; run python -m benchmarks --quick once")
    out = tmp_path / "results.json"
    answer = run(name, "--quick", "--data", str(recordings / "fsdd"), "--out", str(out))
    assert answer.returncode == 0, answer.stderr
    found = json.loads(out.read_text())
    assert found["benchmarks"][name]["comparisons"]
    assert found["machine"]["cores"] >= 1
    assert "| work | other | rehear | ratio |" in answer.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["batches", "scale", "copies", "models", "precision"])
def test_benchmark_of_rehear_alone_runs(name, tmp_path, recordings):
    out = tmp_path / "results.json"
    answer = run(name, "--quick", "--data", str(recordings / "fsdd"), "--out", str(out))
    assert answer.returncode == 0, answer.stderr
    found = json.loads(out.read_text())["benchmarks"][name]
    assert found["notes"]
    if name == "copies":
        louder = found["facts"]["sets"]["FSDD"]["changes"]["gain −20 dB"]
        assert louder["recall"] == 1


def test_planted_copies_are_found_and_false_pairs_told(tmp_path):
    from benchmarks import copies

    made = tmp_path / "made"
    made.mkdir()
    for number in range(3):
        draw = np.random.default_rng(number)
        swell = np.repeat(draw.uniform(0.01, 0.3, 50), 320)
        noise = swell * draw.standard_normal(16000)
        audio.write(made / f"{number}.wav", noise[None].astype(np.float32), 16000)
    files = ["0.wav", "1.wav", "2.wav"]
    found = copies.measure(copies.Recordings("made", made, files), tmp_path)
    rows = found["changes"]
    assert rows.keys() == copies.CHANGES.keys()
    assert rows["gain −20 dB"]["recall"] == rows["16 bits"]["recall"] == 1
    assert rows["inside a longer one"]["recall"] == 1
    assert found["false"] == []
    assert "| gain −20 dB | 1 |" in copies.table({"made": found})
