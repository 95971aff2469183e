"""What the splits of autrainer have in common, where they are not the official ones.

Rampp et al., "autrainer: A Modular and Extensible Deep Learning Toolkit for
Computer Audition Tasks", arXiv:2412.11943. They are here so that numbers obtained
with version 0.10.0 can be compared, not because they are good.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rehear.errors import ParamsError
from rehear.manifest import Clip

SPLITS = ("official", "autrainer")
DEV_AGAIN = " (dev)"


def share(argument: str, value: float) -> float:
    """Return the share of the clips for training that become the dev split.

    Raises:
        ParamsError: if it is below 0, or not below 1
    """
    if not 0 <= value < 1:
        raise ParamsError(
            f"dataset.{argument} is {value}; expected a share of the clips for "
            "training, at least 0 and below 1"
        )
    return float(value)


def with_test_as_dev(clips: Iterable[Clip]) -> Iterator[Clip]:
    """Give all clips, and each clip of the test split once more as one of dev.

    The model is then chosen on the test split. ``fetch`` finds that and asks for
    a reason.
    """
    for clip in clips:
        yield clip
        if clip.split == "test":
            yield replace(clip, clip=clip.clip + DEV_AGAIN, split="dev")
