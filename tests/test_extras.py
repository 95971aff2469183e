"""What is said of a package that is not installed."""

import pytest

from rehear.errors import ParamsError
from rehear.extras import needed


def test_a_missing_package_is_named_with_the_extra_that_has_it():
    with (
        pytest.raises(
            ParamsError,
            match=r"model 'x' needs the package nopackage, .*rehear\[more\]'",
        ),
        needed("model 'x'", "nopackage", extra="more"),
    ):
        import nopackage.inside
    with (
        pytest.raises(ParamsError, match=r"'rehear\[nopackage\]'"),
        needed("model 'x'", "nopackage"),
    ):
        import nopackage  # noqa: F401


def test_what_a_package_itself_lacks_is_no_matter_of_extras():
    with (
        pytest.raises(ModuleNotFoundError, match="nopackage"),
        needed("model 'x'", "torch"),
    ):
        import nopackage  # noqa: F401


def test_an_import_that_succeeds_is_an_import():
    with needed("model 'x'", "json"):
        import json
    assert json.loads("1") == 1
