"""HTML in small pieces. Everything that is not markup is escaped here."""

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rehear import __version__

# Whatever a page holds by mistake, a browser sends and runs nothing.
_POLICY = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
)
_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="generator" content="rehear {version}">
<title>{heading}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header><div>
<h1>{heading}</h1>
<p class="lead">{lead}</p>
<nav>{links}</nav>
</div></header>
<main>
{body}
</main>
<footer>Made by rehear {version}. This file holds everything it shows; nothing is \
loaded from elsewhere.</footer>
</body>
</html>
"""


def document(
    heading: str, lead: str, body: str, *, links: Mapping[str, str] | None = None
) -> str:
    """Return a page; ``body`` is HTML, the rest is text.

    Args:
        heading: of the page
        lead: line below it
        body: content
        links: id of a section → its name
    """
    style = Path(__file__).parent / "style.css"
    anchors = (f'<a href="#{i}">{text(name)}</a>' for i, name in (links or {}).items())
    return _DOCUMENT.format(
        policy=_POLICY,
        version=text(__version__),
        heading=text(heading),
        lead=text(lead),
        links="".join(anchors),
        style=style.read_text(encoding="utf-8"),
        body=body,
    )


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


def warning(
    heading: str, texts: Sequence[str], *, most: int, count: int = 0, note: str = ""
) -> str:
    """Return a box that cannot be overlooked; everything is text.

    Args:
        heading: what is the matter
        texts: in a list
        most: of them that are shown
        count: how many there are in all, where ``texts`` is cut already
        note: below the list
    """
    items = "".join(f"<li>{text(one)}</li>" for one in texts[:most])
    left = max(count, len(texts)) - most
    items += f"<li>and {left:,} more</li>" if left > 0 else ""
    listed = f"<ul>{items}</ul>" if items else ""
    return (
        f'<div class="warning" role="note"><strong>{text(heading)}</strong>'
        f"{listed}{text(note)}</div>"
    )


def details(summary: str, body: str) -> str:
    """Return ``body`` (HTML) folded behind ``summary`` (text)."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"
