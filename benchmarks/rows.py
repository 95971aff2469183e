"""Times the steps on a large manifest; run as a program by ``scale``."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rehear import leakage, manifest, splits
from rehear.manifest import Clip, Manifest

CLASSES, SITES = 50, 5003
_SHARES = {"dev": 0.15, "test": 0.15}


def main(count: int, folder: Path) -> None:
    """Print seconds of each step, and the peak of memory in GiB."""
    seconds: dict[str, float] = {}

    def timed(step: str, work: Callable[..., Any], *given: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        result = work(*given, **options)
        seconds[step] = time.perf_counter() - begin
        return result

    path = folder / "rows.csv"
    timed("write", manifest.write, path, Manifest(tuple(map(_clip, range(count)))))
    drawn = timed(
        "split", splits.draw, timed("read", manifest.read, path), **_SHARES, seed=0
    )
    leaks = timed("leaks", leakage.find, drawn)
    if leaks:
        raise SystemExit(f"a drawn split leaks: {leaks[0].text}")
    timed("folds", splits.draw_folds, drawn, 5, seed=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "peak_gib": peak}))


def _clip(number: int) -> Clip:
    return Clip(
        clip=f"clip{number:07}",
        file=f"data/raw/audio.tar::clips/clip{number:07}.wav",
        labels=(f"class{number * 7919 % CLASSES:02}",),
        group=f"site{number * 104729 % SITES}",
        duration=10.0,
        sample_rate=32000,
        channels=1,
        level=-23.45,
        sha256=f"{number:064x}",
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
