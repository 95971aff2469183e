import json
import platform

import numpy

from rehear import environment


def test_describe_names_what_can_change_a_number():
    facts = environment.describe()
    assert facts["python"] == platform.python_version()
    assert facts["packages"]["numpy"] == numpy.__version__
    assert facts["processor"]
    json.dumps(facts)


def test_differences_are_named_by_their_path():
    recorded = {"python": "3.11.4", "packages": {"numpy": "2.0", "torch": "2.11"}}
    now = {"python": "3.11.4", "packages": {"numpy": "2.1"}, "cores": 2}
    assert environment.differences(recorded, now) == {
        "cores": (None, 2),
        "packages.numpy": ("2.0", "2.1"),
        "packages.torch": ("2.11", None),
    }


def test_differences_of_nothing():
    assert environment.differences(None, {}) == {}
