"""eGeMAPS functionals of all recordings: the whole command on both sides."""

import csv

import numpy as np

from benchmarks import study
from benchmarks.measure import Cost, interleave
from benchmarks.results import Finding, compare
from benchmarks.workspace import Workspace

PRESET = "eGeMAPSv02"


def run(workspace: Workspace) -> Finding:
    """Measure ``preprocess`` and compare the features of every clip."""
    ours = workspace.study("egemaps", transforms=study.EGEMAPS)
    ours.run("fetch")

    def extract(_: int) -> Cost:
        ours.forget("data/features")
        return ours.run("preprocess")

    costs = interleave(
        {
            "autrainer": lambda _: workspace.peer.extract("egemaps", PRESET),
            "two workers": lambda _: workspace.peer.extract(
                "egemaps", PRESET, workers=2
            ),
            "rehear": extract,
        },
        workspace.repeats(1),
    )
    n = len(workspace.recordings)
    works = {
        "autrainer": (f"eGeMAPS of {n} clips, whole command", 3.5),
        "two workers": ("– the peer with two workers", 2.5),
    }
    equal, largest = _equality(workspace, ours)
    notes = [
        (
            f"{equal} of {n} clips have the peer's 88 numbers bit for bit; largest "
            f"difference, as a share of the feature's standard deviation: {largest:.2g}"
        )
    ]
    facts = {"bit_equal": equal, "largest_difference": largest}
    return Finding("egemaps", compare(costs, "rehear", works), notes, facts)


def _equality(workspace: Workspace, ours: study.Study) -> tuple[int, float]:
    from rehear.store import Store

    store = Store.open(ours.folder / "data" / "features")
    with (ours.folder / "data" / "manifest.csv").open(newline="") as stream:
        files = {row["clip"]: row["file"] for row in csv.DictReader(stream)}
    names = [files[clip].rpartition("/")[2] for clip in store.ids]
    folder = workspace.peer.features(PRESET)
    expected = np.stack([np.load(folder / n.replace(".wav", ".npy")) for n in names])
    expected = expected.reshape(len(names), -1)
    found = store.gather(np.arange(len(names)))
    scale = np.maximum(expected.std(axis=0), 1e-12)
    differences = abs(found - expected) / scale
    return int((found == expected).all(axis=1).sum()), float(differences.max())
