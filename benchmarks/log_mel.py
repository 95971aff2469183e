"""Log-mel spectrograms of all recordings: the whole command on both sides."""

import csv
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks import study
from benchmarks.measure import BenchmarkError, Cost, interleave
from benchmarks.peer import ALONE
from benchmarks.results import Comparison, Finding, compare
from benchmarks.workspace import Workspace

PRESET = "log_mel_16k"


LARGE = 4  # times the recordings


def run(workspace: Workspace) -> Finding:
    """Measure ``preprocess``, of all recordings and of four times as many.

    The features of every clip are compared.
    """
    few = _measure(workspace, "log_mel", repeats=3, target=15.0)
    large = _enlarged(workspace, 2 if workspace.quick else LARGE)
    many = _measure(large, "log_mel-large", repeats=1)
    idle, notes = _idle(workspace)
    return Finding(
        "log_mel",
        [*few.comparisons, *many.comparisons, *idle],
        [*few.notes, *many.notes, *notes],
        {"few": few.facts, "many": many.facts},
    )


def _measure(
    workspace: Workspace, name: str, *, repeats: int, target: float | None = None
) -> Finding:
    peer, recordings = workspace.peer, workspace.recordings
    ours = workspace.study(name, transforms=study.LOG_MEL)
    fetched = ours.run("fetch")

    def extract(_: int) -> Cost:
        ours.forget("data/features")
        return ours.run("preprocess")

    sides: dict[str, Callable[[int], Cost]] = {
        "autrainer": lambda _: peer.extract("mel", PRESET),
        "rehear": extract,
    }
    n = len(recordings)
    title = f"log-mel of {n:,} clips, whole command"
    works: dict[str, tuple[str, float | None]] = {"autrainer": (title, target)}
    if not peer.busy and target:
        sides["one thread"] = lambda _: peer.extract("mel", PRESET, **ALONE)
        works["one thread"] = ("– the peer with OMP_NUM_THREADS=1", None)
    costs = interleave(sides, workspace.repeats(repeats))
    largest, values = _difference(workspace, ours)
    notes = [
        f"largest difference of any of {values} values of {n} clips: {largest:.4f} dB",
        (
            f"`rehear fetch` of {n} clips before it, which decodes, hashes and checks "
            f"every clip for leaks (the peer has no counterpart): {fetched.wall:.2f} s "
            f"wall, {fetched.cpu:.2f} s CPU"
        ),
    ]
    facts = {"largest_difference_db": largest, "values": values}
    return Finding(name, compare(costs, "rehear", works), notes, facts)


def _enlarged(workspace: Workspace, times: int) -> Workspace:
    """Return a workspace with each recording several times, by other names."""
    audio = workspace.scratch / "many"
    audio.mkdir()
    recordings = [
        replace(one, file=f"{number}-{one.file}")
        for number in range(times)
        for one in workspace.recordings
    ]
    for one in recordings:
        original = one.file.partition("-")[2]
        (audio / one.file).symlink_to(workspace.audio / original)
    peer = replace(workspace.peer, folder=workspace.scratch / "peer-many")
    peer.set_up(audio, recordings)
    return replace(workspace, audio=audio, recordings=recordings, peer=peer)


def _idle(workspace: Workspace) -> tuple[list[Comparison], list[str]]:
    """Measure a second run, which has nothing to do."""
    ours = study.Study(workspace.scratch / "log_mel")
    ours.add_pipeline()
    ours.dvc("repro", "-q")
    costs = interleave(
        {
            "autrainer": lambda _: workspace.peer.preprocess("mel"),
            "dvc repro": lambda _: ours.dvc("repro"),
            "rehear preprocess": lambda _: ours.run("preprocess"),
        },
        workspace.repeats(3),
    )
    works = {"autrainer": ("nothing to do: `dvc repro`", 10.0)}
    again = {"autrainer": ("nothing to do: `rehear preprocess`, without DVC", None)}
    rows = compare(costs, "dvc repro", works)
    rows += compare(costs, "rehear preprocess", again)
    return rows, []


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
