"""Log-mel spectrograms of all recordings: the whole command on both sides."""

import csv
from collections.abc import Callable

import numpy as np

from benchmarks import study
from benchmarks.measure import BenchmarkError, Cost, interleave
from benchmarks.peer import ALONE
from benchmarks.results import Finding, compare
from benchmarks.workspace import Workspace

PRESET = "log_mel_16k"


def run(workspace: Workspace) -> Finding:
    """Measure ``preprocess`` and compare the features of every clip."""
    peer, recordings = workspace.peer, workspace.recordings
    ours = workspace.study("log_mel", transforms=study.LOG_MEL)
    fetched = ours.run("fetch")

    def extract(_: int) -> Cost:
        ours.forget("data/features")
        return ours.run("preprocess")

    sides: dict[str, Callable[[int], Cost]] = {
        "autrainer": lambda _: peer.extract("mel", PRESET),
        "rehear": extract,
    }
    n = len(recordings)
    title = f"log-mel of {n} clips, whole command"
    works: dict[str, tuple[str, float | None]] = {"autrainer": (title, 10.0)}
    if not peer.busy:
        sides["one thread"] = lambda _: peer.extract("mel", PRESET, **ALONE)
        works["one thread"] = ("– the peer with OMP_NUM_THREADS=1", None)
    costs = interleave(sides, workspace.repeats(3))
    largest, values = _difference(workspace, ours)
    notes = [
        f"largest difference of any of {values} values of {n} clips: {largest:.4f} dB",
        (
            "`rehear fetch` before it, which decodes, hashes and checks every clip "
            f"for leaks (the peer has no counterpart): {fetched.wall:.2f} s wall, "
            f"{fetched.cpu:.2f} s CPU"
        ),
    ]
    facts = {"largest_difference_db": largest, "values": values}
    return Finding("log_mel", compare(costs, "rehear", works), notes, facts)


def _difference(workspace: Workspace, ours: study.Study) -> tuple[float, int]:
    """Return the largest difference from the peer's numbers, and their count."""
    from rehear.store import Store

    store = Store.open(ours.folder / "data" / "features")
    with (ours.folder / "data" / "manifest.csv").open(newline="") as stream:
        files = {row["clip"]: row["file"] for row in csv.DictReader(stream)}
    largest, values = 0.0, 0
    for clip, features in zip(store.ids, store, strict=True):
        name = files[clip].rpartition("/")[2].replace(".wav", ".npy")
        expected = np.load(workspace.peer.features(PRESET) / name).swapaxes(1, 2)
        if expected.shape != features.shape:
            raise BenchmarkError(
                f"{name}: features of rehear are {features.shape}, of the peer "
                f"{expected.shape}"
            )
        largest = max(largest, float(abs(expected - features).max()))
        values += expected.size
    if len(store) != len(workspace.recordings):
        raise BenchmarkError(f"{len(store)} clips of {len(workspace.recordings)}")
    return largest, values
