"""Data sets that are not downloaded, because whoever uses them signs a licence."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from rehear.errors import DataError

_NAMED = 5  # missing pieces that an error names


def first(source: Path, names: Iterable[str]) -> str:
    """Return the first of ``names`` that exists in ``source``, or ``""``."""
    return next((name for name in names if (source / name).exists()), "")


def refuse(source: Path, missing: Sequence[str], *, how: str) -> NoReturn:
    """Say what is missing, whom to ask for it, and where to put it.

    Args:
        source: folder named in ``fetch.source``
        missing: files and folders that are not there
        how: where the data set can be requested, and its files in ``source``

    Raises:
        DataError: always
    """
    named = ", ".join(missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    raise DataError(f"{source}: lacks {named}{more}; {how}")
