"""Threads of matrix products."""

import numpy as np
import pytest
import torch

from rehear import blas


def threads():
    return [get() for get, _ in blas._controls()]


def test_products_take_one_thread_within_the_block_only():
    before = threads()
    if not before:
        pytest.skip("numpy was built without OpenBLAS")
    with blas.single_threaded():
        assert set(threads()) == {1}
        square = np.ones((500, 500), np.float32)
        np.testing.assert_array_equal(square @ square, 500 * square)
    assert threads() == before


def test_threads_come_back_after_an_error():
    before = threads()
    with pytest.raises(KeyError), blas.single_threaded():
        raise KeyError
    assert threads() == before


@pytest.mark.parametrize("limit", [blas.single_threaded, blas.torch_single_threaded])
def test_torch_takes_one_thread_within_the_block_only(limit):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(KeyError), limit():
            assert torch.get_num_threads() == 1
            raise KeyError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
