"""Finding recordings and tables in published archives, which stay packed."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from rehear import archives
from rehear.errors import DataError


def recordings(packed: Iterable[Path], *, ending: str = ".wav") -> dict[str, str]:
    """Return where the recordings in archives are.

    Hidden files, which some systems pack along, are passed over.

    Args:
        packed: the archives
        ending: of a recording's name

    Returns:
        ``archive.zip::folder/a.wav``, relative to the folder of the archive, by the
        name of the file, ``a.wav``.

    Raises:
        DataError: if two recordings have the same name
    """
    found: dict[str, str] = {}
    for archive in packed:
        for member in archives.members(archive):
            name = PurePosixPath(member).name
            if not name.endswith(ending) or name.startswith("."):
                continue
            place = f"{archive.name}{archives.SEPARATOR}{member}"
            if name in found:
                raise DataError(
                    f"{archive.parent}: both {found[name]} and {place} are called "
                    f"'{name}'; expected each recording once, fetch the archives again"
                )
            found[name] = place
    return found


def table(archive: Path, ending: str) -> str:
    """Return the place of a table, as ``archive.zip::folder/meta.csv``.

    Args:
        archive: that holds it
        ending: of its path in there, by whole names, such as ``setup/fold1.txt``

    Raises:
        DataError: if there is none, or several
    """
    wanted = PurePosixPath(ending).parts
    found = [
        member
        for member in archives.members(archive)
        if PurePosixPath(member).parts[-len(wanted) :] == wanted
    ]
    if len(found) != 1:
        raise DataError(
            f"{archive}: holds {len(found) or 'no'} files called {ending}, expected "
            "one; fetch it again, or report that the data set has changed"
        )
    return f"{archive}{archives.SEPARATOR}{found[0]}"
