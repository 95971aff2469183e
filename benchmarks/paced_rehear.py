"""The stage ``train`` with a pause before each step; run in a study's folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.pacing import Pacer
from rehear import params
from rehear.clips import Batch, ClipSet
from rehear.stages import train


def main() -> None:
    """Train the first run of the study, batch by batch, as the driver wants it."""
    pacer = Pacer()
    unpaced = ClipSet.batches

    def batches(self: ClipSet, *arguments: Any, **options: Any) -> Iterator[Batch]:
        for batch in unpaced(self, *arguments, **options):
            pacer.step()
            yield batch

    ClipSet.batches = batches  # type: ignore[method-assign]
    study = Path.cwd()
    values = params.load(study / params.FILE)
    seed, fold = values.runs()[0]
    train.run(values, study, seed=seed, fold=fold)


if __name__ == "__main__":
    main()
