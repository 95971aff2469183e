"""Published folds that have recordings in common, though they should not."""

from collections import defaultdict
from collections.abc import Iterable

from rehear.manifest import Clip


def without_shared(clips: Iterable[Clip]) -> list[Clip]:
    """Return the clips of those groups that are in one fold only, in their order."""
    clips = list(clips)
    folds = defaultdict(set)
    for clip in clips:
        folds[clip.group].add(clip.fold)
    return [clip for clip in clips if len(folds[clip.group]) == 1]
