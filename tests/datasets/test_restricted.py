import pytest

from rehear.datasets import restricted
from rehear.errors import DataError


def test_first_that_exists(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "c").write_text("")
    assert restricted.first(tmp_path, ["a", "c", "b"]) == "c"
    assert restricted.first(tmp_path, ["a"]) == ""
    assert restricted.first(tmp_path / "none", ["a"]) == ""


def test_many_missing_pieces_are_counted(tmp_path):
    with pytest.raises(DataError, match=r"lacks 1, 2, 3, 4, 5 and 2 more; ask us$"):
        restricted.refuse(tmp_path, list("1234567"), how="ask us")
