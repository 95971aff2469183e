from rehear.datasets.folds import without_shared
from rehear.manifest import Clip


def test_groups_in_two_folds_are_left_out():
    folds = [("a", "x", "1"), ("b", "y", "1"), ("c", "x", "2"), ("d", "z", "2")]
    clips = [Clip(clip=c, file=c, group=group, fold=fold) for c, group, fold in folds]
    assert [clip.clip for clip in without_shared(iter(clips))] == ["b", "d"]
