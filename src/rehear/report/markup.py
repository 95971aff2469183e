"""HTML in small pieces. Everything that is not markup is escaped here."""

import html
from collections.abc import Iterable, Mapping, Sequence


def text(value: object) -> str:
    """Return a value with what HTML would take for markup escaped."""
    return html.escape(str(value), quote=True)


def card(body: str, *, heading: str = "", hint: str = "") -> str:
    """Return a box; ``body`` is HTML, the rest is text."""
    head = f"<h3>{text(heading)}</h3>" if heading else ""
    foot = f'<p class="hint">{text(hint)}</p>' if hint else ""
    return f'<div class="card">{head}{body}{foot}</div>'


def grid(cards: Iterable[str]) -> str:
    """Return boxes side by side where there is room."""
    return f'<div class="grid">{"".join(cards)}</div>'


def stack(cards: Iterable[str]) -> str:
    """Return boxes one below the other, as one cell of a grid."""
    return f'<div class="stack">{"".join(cards)}</div>'


def section(name: str, heading: str, body: str, *, hint: str = "") -> str:
    """Return a section; ``body`` is HTML, the rest is text."""
    note = f'<p class="hint">{text(hint)}</p>' if hint else ""
    return f'<section id="{name}"><h2>{text(heading)}</h2>{note}{body}</section>'


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int = 1
) -> str:
    """Return a table of text.

    Args:
        header: names of the columns
        rows: cells
        numbers_from: first column that is set to the right
    """

    def cells(tag: str, values: Sequence[str]) -> str:
        kinds = ["", ' class="number"']
        return "".join(
            f"<{tag}{kinds[i >= numbers_from]}>{text(value)}</{tag}>"
            for i, value in enumerate(values)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = f"<thead><tr>{cells('th', header)}</tr></thead>"
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def pairs(values: Mapping[str, object]) -> str:
    """Return names and values, empty values left out."""
    return (
        "<dl>"
        + "".join(
            f"<dt>{text(name)}</dt><dd>{text(value)}</dd>"
            for name, value in values.items()
            if value not in ("", None)
        )
        + "</dl>"
    )


def pre(value: str) -> str:
    """Return preformatted text."""
    return f"<pre>{text(value)}</pre>"


def details(summary: str, body: str) -> str:
    """Return ``body`` (HTML) folded behind ``summary`` (text)."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"
