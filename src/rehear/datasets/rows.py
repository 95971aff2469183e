"""Tables of labels: CSV and its relatives, on disk or in an archive."""

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from rehear import archives
from rehear.errors import DataError, suggest


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        place: file and row number, for messages
        cells: by the names in the header, stripped
    """

    place: str
    cells: Mapping[str, str]

    def fail(self, problem: str) -> NoReturn:
        """Raise a ``DataError`` that names the row."""
        raise DataError(f"{self.place}: {problem}")

    def text(self, column: str) -> str:
        """Return a cell.

        Raises:
            DataError: if there is no such column
        """
        try:
            return self.cells[column]
        except KeyError:
            self.fail(
                f"no column '{column}'.{suggest(column, self.cells)} Columns: "
                f"{', '.join(self.cells)}"
            )

    def number(self, column: str) -> float:
        """Return a cell as a number.

        Raises:
            DataError: if it is none, or not finite
        """
        cell = self.text(column)
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.fail(
                f"'{cell}' in column '{column}' is not a finite number; write it as "
                "0.25"
            )
        return value


def read(
    path: os.PathLike[str] | str,
    *,
    delimiter: str = "",
    columns: Sequence[str] | None = None,
) -> tuple[list[str], Iterator[Row]]:
    """Read a table.

    Blank rows are passed over. Rows are counted from 1, the header's.

    Args:
        path: a file, or ``archive.zip::member``, ``archive.tar::member``
        delimiter: between cells; if not given, whichever of comma, semicolon and
            tab occurs most often in the first line
        columns: names of the columns of a table without a header

    Returns:
        The names of the columns, and the rows.

    Raises:
        DataError: if there is no such file, it is not UTF-8, a column stands
            there twice or a row has too many or too few cells
    """
    name = os.fspath(path)
    source = archives.locate(path)
    try:
        # utf-8-sig: spreadsheets begin a CSV file with a byte order mark.
        text = source.read(0, source.size).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: not UTF-8 at byte {error.start}; save it as CSV in UTF-8"
        ) from None
    first = text.partition("\n")[0]
    delimiter = delimiter or max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 1
    if columns is None:
        header, number = [cell.strip() for cell in next(lines, [])], 2
    else:
        header = list(columns)
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if twice:
        raise DataError(f"{name} row 1: column '{twice[0]}' stands there twice")
    return header, _rows(name, header, lines, number)


def _rows(
    name: str, header: Sequence[str], lines: Iterator[list[str]], number: int
) -> Iterator[Row]:
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells):
                stripped = (cell.strip() for cell in cells)
                row = Row(
                    f"{name} row {number}", dict(zip(header, stripped, strict=False))
                )
                if len(cells) != len(header):
                    row.fail(
                        f"{len(cells)} cells, but {len(header)} columns; quote cells "
                        "that hold the separator"
                    )
                yield row
            number += 1
    except csv.Error as error:
        raise DataError(f"{name} row {number}: {error}") from None
