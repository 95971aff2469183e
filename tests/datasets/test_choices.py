import pytest

from rehear.datasets import choices
from rehear.errors import ParamsError

KNOWN = ("anger", "fear", "joy")


def test_nothing_chosen_is_everything():
    assert choices.some("emotions", [], KNOWN) == [*KNOWN]


@pytest.mark.parametrize("values", [["joy", "anger"], ["anger", "joy", "joy"]])
def test_order_is_that_of_what_is_known(values):
    assert choices.some("emotions", values, KNOWN) == ["anger", "joy"]


def test_one_text_is_no_list_of_letters():
    assert choices.some("emotions", "fear", KNOWN) == ["fear"]
    assert choices.one("emotions", "fear", KNOWN) == "fear"


@pytest.mark.parametrize("value", ["angr", True, 3])
def test_what_is_unknown_is_named(value):
    message = rf"^dataset\.emotions: unknown '{value}'\..*Known: anger, fear, joy$"
    with pytest.raises(ParamsError, match=message):
        choices.some("emotions", [value], KNOWN)
