"""Names in params.yaml become objects, and nothing else does."""

import pytest

from rehear.catalogue import Catalogue
from rehear.errors import ParamsError


class Filter:
    def __init__(self, *, cutoff: float = 100.0, order: int = 2, sample_rate: int):
        if cutoff > sample_rate / 2:
            raise ValueError(f"cutoff {cutoff} is above half the rate")
        self.cutoff, self.sample_rate = cutoff, sample_rate


@pytest.fixture
def parts():
    parts = Catalogue("filter", {"poly": "numpy:polyfit"})
    parts.add("low_pass", Filter)
    return parts


def test_build_passes_arguments_and_what_the_program_gives(parts):
    built = parts.build({"name": "low_pass", "cutoff": 50.0}, sample_rate=8000, x=1)
    assert (built.cutoff, built.sample_rate) == (50.0, 8000)


def test_a_bare_name_is_a_part_without_arguments(parts):
    assert parts.build("low_pass", sample_rate=8000).cutoff == 100.0


def test_unknown_name_gets_the_likely_one(parts):
    with pytest.raises(ParamsError, match=r"unknown filter 'low_pas'. Did you mean 'l"):
        parts.build("low_pas", sample_rate=1)


@pytest.mark.parametrize("name", ["os:system", "numpy:polyfit", "rehear.cli", ""])
def test_only_names_of_the_table_are_built(parts, name):
    with pytest.raises(ParamsError, match="unknown filter"):
        parts.build(name)


def test_unknown_argument_gets_the_likely_one(parts):
    with pytest.raises(ParamsError, match="no argument 'cutof'. Did you mean 'cutoff'"):
        parts.check({"name": "low_pass", "cutof": 1}, given=("sample_rate",))


def test_argument_of_the_program_cannot_be_set(parts):
    with pytest.raises(ParamsError, match="'sample_rate' is set by the program"):
        parts.build({"name": "low_pass", "sample_rate": 1}, sample_rate=8000)


def test_refusal_of_the_part_names_it(parts):
    with pytest.raises(ParamsError, match="filter 'low_pass': cutoff 9000.0 is above"):
        parts.build({"name": "low_pass", "cutoff": 9000.0}, sample_rate=8000)


def test_placement_is_not_an_argument(parts):
    spec = {"name": "low_pass", "order": 3, "online": True, "splits": ["train"]}
    assert parts.build(spec, sample_rate=8000).cutoff == 100.0


def test_a_taken_name_is_refused_and_the_same_part_is_not(parts):
    parts.add("low_pass", Filter)
    with pytest.raises(ParamsError, match="exists already"):
        parts.add("low_pass", dict)


def test_resolve_writes_out_defaults(parts):
    assert parts.resolve({"name": "low_pass"}, given=("sample_rate",)) == {
        "name": "low_pass",
        "cutoff": 100.0,
        "order": 2,
    }


def test_strings_are_imported_when_first_used():
    import sys

    lazy = Catalogue("thing", {"x": "colorsys:rgb_to_hls"})
    sys.modules.pop("colorsys", None)
    assert lazy.names() == ["x"]
    assert "colorsys" not in sys.modules
    assert lazy.get("x").__name__ == "rgb_to_hls"


class Typed:
    def __init__(
        self,
        *,
        width: int = 1,
        share: float = 0.5,
        limit: float | None = None,
        pair: tuple[float, float] = (0.9, 0.99),
        sizes: tuple[int, ...] = (1, 2),
        shares: tuple[float, ...] | None = None,
        words: tuple[str, ...] = (),
        mode: str = "a",
        soft: bool = False,
        free: list[int] = (),
        quoted: "int" = 1,
    ):
        if width < 1:
            raise RuntimeError("negative\ndimension")


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("width", "3", "a whole number"),
        ("width", 1.5, "a whole number"),
        ("width", True, "a whole number"),
        ("share", "half", "a number"),
        ("share", float("nan"), "a finite number"),
        ("limit", "none", "a number or null"),
        ("pair", [0.9], "a list of 2 values"),
        ("pair", 0.9, "a list of 2 values"),
        ("pair", ["x", 1], "a list of 2 values"),
        ("sizes", 1024, "a list of whole numbers"),
        ("sizes", [64, "x"], "a list of whole numbers"),
        ("sizes", [64, 1.5], "a list of whole numbers"),
        ("shares", [0.5, "x"], "a list of numbers or null"),
        ("words", "one", "a list of texts"),
        ("mode", 1, "text"),
        ("soft", "yes", "true or false"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused(parts, argument, value, expected):
    parts.add("typed", Typed)
    text = f"filter 'typed': {argument}: expected {expected}, found"
    with pytest.raises(ParamsError, match=text):
        parts.check({"name": "typed", argument: value})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("share", 1),
        ("limit", None),
        ("limit", 2),
        ("pair", [0, 1.0]),
        ("sizes", [3, 4, 5]),
        ("shares", [1, 0.5]),
        ("shares", None),
        ("words", []),
        ("free", "anything"),
        ("quoted", "anything"),
    ],
)
def test_what_fits_or_cannot_be_told_is_left_to_the_part(parts, argument, value):
    parts.add("typed", Typed)
    parts.check({"name": "typed", argument: value})


def test_refusals_stay_in_one_line(parts):
    parts.add("typed", Typed)
    with pytest.raises(ParamsError, match="filter 'typed': negative dimension"):
        parts.build({"name": "typed", "width": -1})
