"""Tests of the study's own parts."""

import numpy as np
import pytest
from rehear.errors import ParamsError
from rehear.transforms import TRANSFORMS

from {{ cookiecutter.__package }} import parts


def test_pre_emphasis_subtracts_the_previous_sample():
    waveform = np.array([[1, 2, 3], [0, 1, 0]], dtype=np.float32)
    filtered = parts.PreEmphasis(coefficient=0.5)(waveform)
    np.testing.assert_array_equal(filtered, [[1, 1.5, 2], [0, 1, -0.5]])
    assert filtered.dtype == np.float32


def test_pre_emphasis_is_found_by_its_name():
    part = TRANSFORMS.build({"name": "pre_emphasis", "coefficient": 0.0})
    waveform = np.ones((1, 4), dtype=np.float32)
    np.testing.assert_array_equal(part(waveform), waveform)


def test_pre_emphasis_refuses_a_coefficient_out_of_range():
    with pytest.raises(ParamsError, match="coefficient must be in"):
        TRANSFORMS.build({"name": "pre_emphasis", "coefficient": 1.5})
