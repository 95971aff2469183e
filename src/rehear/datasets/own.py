"""What all data sets of a researcher's own recordings share."""

from collections.abc import Sequence
from pathlib import Path

from rehear.errors import DataError

TITLE = "own recordings"


class OwnRecordings:
    """Own recordings in ``fetch.source``, where they stay.

    A data set of this family hands these four arguments on from its own
    ``__init__``, where the catalogue looks for them.

    Args:
        title: of the data set, for reports
        citation: how to cite it
        licence: under which others may use it
        url: where it can be found
    """

    needs_source = True
    published = False
    size = ""
    folds: tuple[str, ...] = ()

    title = TITLE
    citation = ""
    licence = ""
    url = ""

    def __init__(
        self,
        *,
        title: str = TITLE,
        citation: str = "",
        licence: str = "",
        url: str = "",
    ) -> None:
        self.title = title
        self.citation = citation
        self.licence = licence
        self.url = url


def names(given: Sequence[str]) -> tuple[str, ...]:
    """Return the names in an argument for which one name alone may be given."""
    return (given,) if isinstance(given, str) else tuple(given)


def check_source(source: Path) -> None:
    """Check that the folder of the recordings is there.

    Raises:
        DataError: if it is not
    """
    if not source.is_dir():
        raise DataError(
            f"{source} does not exist; put your recordings there, or name their "
            "folder in fetch.source"
        )
