from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehear.datasets import cuts
from rehear.datasets.events import Event
from rehear.errors import DataError, ParamsError


def event(start, end, label="a", **attributes):
    return Event(f"row {label}", start, end, label, attributes)


def cut(events, duration=10.0, *, task="classification", notes=None, **arguments):
    part = cuts.build(arguments)
    notes = Counter() if notes is None else notes
    return list(part.pieces(events, duration, task=task, notes=notes))


def spans(pieces):
    return [(piece.start, piece.end, *piece.labels) for piece in pieces]


def test_clips_have_the_length_of_events():
    found = cut([event(1, 2, site="x"), event(4, 4.5, "b")], name="clips")
    assert spans(found) == [(1, 2, "a"), (4, 4.5, "b")]
    assert found[0].attributes == {"site": "x"}


def test_margin_ends_with_the_recording():
    events = [event(0.25, 1), event(5, 6), event(9, 9.75)]
    found = cut(events, name="clips", margin=0.5)
    assert spans(found) == [(0, 1.5, "a"), (4.5, 6.5, "a"), (8.5, 10, "a")]


def test_fixed_length_is_around_the_middle_and_inside():
    events = [event(0, 0.5), event(3, 7, "b"), event(8, 8, "c"), event(9.5, 10, "d")]
    found = cut(events, name="clips", seconds=3.0)
    assert spans(found) == [(0, 3, "a"), (3.5, 6.5, "b"), (6.5, 9.5, "c"), (7, 10, "d")]


def test_fixed_length_of_a_short_recording_is_all_of_it():
    assert spans(cut([event(1, 2)], 2.5, name="clips", seconds=3.0)) == [(0, 2.5, "a")]


def test_moments_need_a_length():
    with pytest.raises(DataError, match="row a: 'a' is a moment, at 2 s"):
        cut([event(2, 2)], name="clips")
    assert spans(cut([event(2, 2)], name="clips", margin=0.5)) == [(1.5, 2.5, "a")]


def test_same_event_twice_is_one_clip():
    notes = Counter()
    assert len(cut([event(1, 2), event(1, 2)], name="clips", notes=notes)) == 1
    assert notes["events stand in the tables twice, and are taken once"] == 1


def test_two_classes_of_one_clip_are_an_error_but_for_tagging():
    events = [event(1, 2), event(1, 2, "b")]
    with pytest.raises(DataError, match="row b: .* 'a' in row a, .*set task: tagging"):
        cut(events, name="clips")
    assert spans(cut(events, name="clips", task="tagging")) == [(1, 2, "a", "b")]


def test_tags_of_a_clip_are_all_that_is_heard_in_it():
    events = [event(1, 5), event(2, 2.5, "b"), event(4.9, 6, "c"), event(7, 8, "d")]
    found = cut(events, name="clips", task="tagging")
    assert spans(found) == [
        (1, 5, "a", "b"),
        (2, 2.5, "a", "b"),
        (4.9, 6, "c"),
        (7, 8, "d"),
    ]
    found = cut(events, name="clips", task="tagging", share=0.0)
    assert [piece.labels for piece in found][2] == ("a", "c")


def test_windows_cover_a_recording():
    found = cut([event(1, 2), event(4.5, 5.5, "b")], name="windows", seconds=3.0)
    assert spans(found) == [
        (0, 3, "a"),
        (3, 6, "b"),
        (6, 9, "background"),
        (7, 10, "background"),
    ]


def test_windows_overlap_by_hop():
    found = cut([], 4.0, name="windows", seconds=2.0, hop=0.5)
    assert [piece.start for piece in found] == [0, 0.5, 1, 1.5, 2]


def test_recording_shorter_than_a_window_is_one():
    found = cut([event(0.1, 0.2)], 1.5, name="windows", seconds=3.0)
    assert spans(found) == [(0, 1.5, "a")]


@pytest.mark.parametrize(
    ("start", "end", "windows"),
    [
        (1.5, 4.5, [0, 1]),  # half of it in the first, half in the second
        (2.5, 3.5, [0, 1]),
        (2.6, 3.5, [1]),
        (0.0, 9.0, [0, 1, 2]),  # all of it is longer than a window
        (1.6, 9.0, [1, 2]),
        (3.0, 3.0, [1]),  # a moment is in the window that it begins
        (2.0, 2.0, [0]),
    ],
)
def test_share_is_of_the_event_or_of_the_window(start, end, windows):
    found = cut([event(start, end)], 9.0, name="windows", seconds=3.0)
    assert [i for i, piece in enumerate(found) if piece.labels == ("a",)] == windows


def expected_labels(events, start, end, seconds, share):
    """The rule of OpenSoundscape, whose two conditions are alternatives."""
    least = share * seconds
    labels = set()
    for e in events:
        overlap = min(end, e.end) - max(start, e.start)
        if overlap <= 0:
            continue
        if overlap >= least or overlap / (e.end - e.start) >= share:
            labels.add(e.label)
    return labels


# Sixteenths of a second have no rounding errors.
sixteenths = st.integers(0, 320).map(lambda n: n / 16)


@given(
    st.lists(st.tuples(sixteenths, st.integers(1, 160), st.sampled_from("abc"))),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.sampled_from([0.25, 1.0, 4.0]),
    st.sampled_from([0.25, 0.5, 1.0]),
)
def test_labels_of_windows_are_those_of_opensoundscape(drawn, seconds, hop, share):
    duration = 20.0
    events = sorted(
        (
            event(start, min(start + length / 16, duration), label)
            for start, length, label in drawn
            if start < duration
        ),
        key=lambda e: e.start,
    )
    arguments = {"name": "windows", "seconds": seconds, "hop": hop, "share": share}
    found = cut(events, duration, task="tagging", **arguments)
    for piece in found:
        assert piece.end - piece.start == seconds
        wanted = expected_labels(events, piece.start, piece.end, seconds, share)
        assert set(piece.labels) == wanted
    assert found[0].start == 0
    assert found[-1].end == duration
    if share <= 0.5 and hop <= seconds:
        assert {e.label for e in events} == {x for p in found for x in p.labels}


def test_windows_without_events():
    events = [event(0, 1)]
    named = cut(events, 6.0, name="windows", background="noise")
    assert spans(named)[1] == (3, 6, "noise")
    assert len(cut(events, 6.0, name="windows", keep_empty=False)) == 1
    assert spans(cut(events, 6.0, name="windows", task="tagging"))[1] == (3, 6)


def test_windows_with_two_classes():
    events = [event(0, 1), event(1, 2, "b")]
    with pytest.raises(
        DataError, match=r"row b: 'b' and 'a' of row a .* 0 to 3 s; set"
    ):
        cut(events, 6.0, name="windows")
    notes = Counter()
    found = cut(events, 6.0, name="windows", mixed="skip", notes=notes)
    assert spans(found) == [(3, 6, "background")]
    assert notes["windows with several labels are left out"] == 1
    tagged = cut(events, 6.0, name="windows", task="tagging")
    assert spans(tagged) == [(0, 3, "a", "b"), (3, 6)]


def test_doubtful_windows_are_no_background():
    events = [event(2.95, 3.5, "?"), event(3.2, 4)]
    notes = Counter()
    found = cut(events, 9.0, name="windows", ignore=["?"], notes=notes)
    assert spans(found) == [(3, 6, "a"), (6, 9, "background")]
    assert notes["windows without a label are left out"] == 1


def test_events_between_windows_are_counted():
    notes = Counter()
    found = cut([event(3.5, 4)], 9.0, name="windows", hop=5.0, notes=notes)
    assert [piece.start for piece in found] == [0, 5, 6]
    assert notes["events are in no window; see dataset.cut"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "clips", "margin": -1.0}, r"dataset\.cut\.margin: -1, expected 0"),
        ({"name": "clips", "seconds": -1.0}, r"cut\.seconds: -1, expected a length"),
        ({"name": "clips", "margin": 1.0, "seconds": 1.0}, "give margin or seconds"),
        ({"name": "clips", "share": 1.5}, r"cut\.share: 1\.5, expected a number from"),
        ({"name": "windows", "seconds": 0.0}, r"cut\.seconds: 0, expected"),
        ({"name": "windows", "hop": -1.0}, r"cut\.hop: -1, expected"),
        ({"name": "windows", "share": -0.5}, r"cut\.share: -0\.5, expected"),
        ({"name": "windows", "background": ""}, "cannot name a class.*keep_empty"),
        ({"name": "windows", "background": "a;b"}, "'a;b' cannot name a class"),
        (
            {"name": "windows", "mixed": "drop"},
            r"cut\.mixed: unknown 'drop'.*stop, skip",
        ),
        ({"name": "windows", "seconds": "3"}, "seconds: expected a number"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ParamsError, match=message):
        cuts.build(arguments)
