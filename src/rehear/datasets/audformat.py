"""Databases in audformat, the format of audEERING's public databases."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rehear.datasets import audtables
from rehear.datasets.own import check_source
from rehear.errors import DataError, ParamsError
from rehear.manifest import Manifest

HEADER = "db.yaml"
_FAILURES = (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError)
_TABLES = ("parquet", "csv")  # a pickled table could run anything when it is read


class Audformat:
    """A database in audformat, in ``fetch.source``.

    The folder has the header ``db.yaml``, a file for each table
    (``db.<table>.parquet`` or ``.csv``) and the recordings, in folders or in
    archives (``.zip``, ``.tar``). Columns are found in any table by their own
    names, or by those of their schemes, as ``audformat.Database.get`` finds
    them: ``gender`` may be a label of the scheme ``speaker``. Labels of a scheme
    with names have these names. Rows without a label are left out. Tables with
    start and end give clips that are parts of a recording. Title, citation and
    licence are those in the header.

    For tagging, the label is either one column with tags, joined by ``;``, or a
    list of columns with yes or no, whose names are the tags.

    Splits: those of the tables (``emotion.train`` …), or of a column; without
    any, drawn as ``fetch.split`` says.

    Source: https://audeering.github.io/audformat. Needs ``rehear[audb]``.

    Args:
        tables: that hold the labels or targets; all, if not given
        columns: which columns or schemes hold what, as
            ``{label: emotion, group: speaker}``; there may be ``label``,
            ``split`` (``''`` to draw one), ``fold`` and ``group``
        targets: columns or schemes with the numbers to predict, for regression
        attributes: columns or schemes with what else is known (gender, device),
            for the card of the data set
    """

    title = "audformat database"
    citation = ""
    licence = ""
    url = ""
    tasks = ("classification", "tagging", "regression")
    needs_source = True
    published = False
    size = ""
    folds: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        tables: Sequence[str] = (),
        columns: Mapping[str, Any] | None = None,
        targets: Sequence[str] = (),
        attributes: Sequence[str] = (),
    ) -> None:
        self.wanted = audtables.choice(tables, columns, targets, attributes)

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Read the tables; the recordings stay where they are.

        Args:
            raw: not used
            task: ``classification``, ``tagging`` or ``regression``
            source: folder with ``db.yaml``
            downloads: not used

        Raises:
            ParamsError: if the library is missing, or a column is not named
            DataError: if the database is not usable, or lacks what is named
        """
        check_source(source)
        library()
        database = load(source)
        self.title, self.citation, self.licence, self.url = about(database)
        found = audtables.read(database, self.wanted, task=task)
        return audtables.located(found, source)


def library() -> Any:
    """Return the library ``audformat``.

    Raises:
        ParamsError: if it is not installed
    """
    try:
        import audformat
    except ImportError as error:
        raise ParamsError(
            f"databases in audformat need a library that is not here ({error}); run "
            "`pip install 'rehear[audb]'`"
        ) from None
    return audformat


def load(folder: Path) -> Any:
    """Return the database in a folder, with its tables, without its recordings.

    Raises:
        DataError: if there is none, or it cannot be read
    """
    header = folder / HEADER
    check_header(header)
    # Beside a pickled table, the library reads nothing else; a copy has none.
    with tempfile.TemporaryDirectory(prefix="rehear-") as name:
        for path in (header, *(p for e in _TABLES for p in folder.glob(f"db.*.{e}"))):
            shutil.copyfile(path, Path(name, path.name))
        try:
            return library().Database.load(name, load_data=True)
        except _FAILURES as error:
            reason = " ".join(str(error).split()).replace(name, str(folder))
            raise DataError(
                f"{header}: the database cannot be read ({type(error).__name__}: "
                f"{reason}); save it again with audformat.Database.save"
            ) from None


def check_header(header: Path) -> None:
    """Refuse a header that would run code when it is read.

    Raises:
        DataError: if it does, is no YAML, or is not there
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if not header.is_file():
        raise DataError(
            f"{header} does not exist; expected a database as "
            "audformat.Database.save writes it"
        )
    try:
        with header.open("rb") as stream:
            for event in yaml.parse(stream, Loader=loader):
                if "python" in (getattr(event, "tag", None) or ""):
                    raise DataError(
                        f"{header}: the tag '{event.tag}' could run code, and no "
                        "header of a database needs it; do not use this database"
                    )
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{header}: no YAML ({reason}); restore the file") from None


def about(database: Any) -> tuple[str, str, str, str]:
    """Return title, citation, licence and home page, as the header has them."""
    source = str(database.source or "")
    said = (database.author, database.name, database.organization, source)
    licence = " ".join(
        str(part) for part in (database.license, database.license_url) if part
    )
    return (
        str(database.name),
        ". ".join(str(part).rstrip(".") for part in said if part),
        licence,
        source if source.startswith(("http://", "https://")) else "",
    )
