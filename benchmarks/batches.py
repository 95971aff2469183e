"""How fast training batches are read, of features that are all the same size."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import study
from benchmarks.measure import program
from benchmarks.results import Finding
from benchmarks.workspace import Workspace

BATCH, SECONDS = 32, 3.0
WANTED = 100_000  # items a second


def run(workspace: Workspace) -> Finding:
    """Measure shuffled batches, from memory and from the memory map."""
    ours = workspace.study("batches", transforms=study.FRAMES)
    for stage in ("fetch", "preprocess"):
        ours.run(stage)
    facts = program("benchmarks.batches", ours.folder, OMP_NUM_THREADS="1")
    met = "met" if min(facts["speed"].values()) >= WANTED else "missed"
    named = ", ".join(f"{name} {n:,.0f}" for name, n in facts["speed"].items())
    note = (
        f"items a second, in shuffled batches of {BATCH} with targets, of shape "
        f"{tuple(facts['shape'])}: {named}; wanted {WANTED:,}: {met}"
    )
    return Finding("batches", [], [note], facts)


def measure(folder: Path) -> dict[str, Any]:
    """Return items a second of the features of a study."""
    from rehear import clips
    from rehear.store import Store

    store = Store.open(folder / "data" / "features")
    targets = np.arange(len(store)) % 10
    speed = {}
    for name, share in (("in memory", clips.MEMORY_SHARE), ("memory-mapped", 0.0)):
        clips.MEMORY_SHARE = share
        clip_set = clips.ClipSet(store, range(len(store)), targets)
        speed[name] = _speed(clip_set)
    return {"shape": store.shape, "items": len(store), "speed": speed}


def _speed(clip_set: Any) -> float:
    """Return the speed of the fastest of some epochs."""
    best, end = 0.0, time.perf_counter() + SECONDS
    for epoch in _until(end):
        start = time.perf_counter()
        items = sum(
            batch.size for batch in clip_set.batches(epoch, BATCH, shuffle=True)
        )
        best = max(best, items / (time.perf_counter() - start))
    return best


def _until(end: float) -> Iterator[int]:
    epoch = 0
    while epoch == 0 or time.perf_counter() < end:
        yield epoch
        epoch += 1


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
