"""Packages that some parts need, and the extras of rehear that install them."""

import contextlib
from collections.abc import Iterator

from rehear.errors import ParamsError


@contextlib.contextmanager
def needed(part: str, *packages: str, extra: str = "") -> Iterator[None]:
    """Say what to install where an import inside fails.

    Args:
        part: that needs the packages, as ``model 'timm'``
        packages: that are imported
        extra: of rehear; called as the first package if empty

    Raises:
        ParamsError: if one of the packages is not installed
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in packages:
            raise
        raise ParamsError(
            f"{part} needs the package {name}, which is not installed; install it with "
            f"`pip install 'rehear[{extra or packages[0]}]'`"
        ) from None
