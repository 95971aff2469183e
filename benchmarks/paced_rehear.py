"""The stage ``train`` with a pause before each step; run in a study's folder."""

import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.pacing import Pacer
from rehear import cli
from rehear.clips import Batch, ClipSet


def main() -> None:
    """Run ``rehear train``, batch by batch, as the driver wants it."""
    pacer = Pacer()
    unpaced = ClipSet.batches

    def batches(self: ClipSet, *arguments: Any, **options: Any) -> Iterator[Batch]:
        for batch in unpaced(self, *arguments, **options):
            pacer.step()
            yield batch

    ClipSet.batches = batches  # type: ignore[method-assign]
    sys.exit(cli.main(["train"]))


if __name__ == "__main__":
    main()
