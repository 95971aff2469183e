"""Write a study's licence."""

from __future__ import annotations

from pathlib import Path

TEXTS = Path(__file__).resolve().parent / "licences"


def write(study: Path, *, licence: str, author: str) -> None:
    """Write ``LICENSE``, with the author's name where the licence has one.

    No year stands in it: nothing in a study changes with the day on which it
    is generated.

    Args:
        study: root of the study
        licence: name of a file in ``hooks/licences``
        author: who holds the copyright
    """
    text = (TEXTS / f"{licence}.txt").read_text(encoding="utf-8")
    with (study / "LICENSE").open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text.replace("<author>", author))
