"""Fixtures shared by all tests."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of this repository."""
    return ROOT


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Folder of real recordings, which are not part of the repository."""
    folder = Path(os.environ.get("REHEAR_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real recordings not found in {folder}; set REHEAR_TEST_DATA")
    return folder


@pytest.fixture(autouse=True)
def _without_lazy_modules() -> Iterator[None]:
    """Leave none of speechbrain's modules that raise when hypothesis looks at them."""
    yield
    if "speechbrain" in sys.modules:
        for name, module in list(sys.modules.items()):
            if type(module).__module__ == "speechbrain.utils.importutils":
                del sys.modules[name]
