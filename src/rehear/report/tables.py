"""The results as tables: CSV for programs, Markdown for READMEs, LaTeX for papers."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from rehear.metrics import title

NOTHING = "–"
_TEX = {
    "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
    "–": "--", "±": r"$\pm$", "−": "$-$",
}  # fmt: skip


def number(value: float | None, decimals: int) -> str:
    """Return a number with fixed decimals, or a dash where it is undefined."""
    if value is None:
        return NOTHING
    return f"{value:.{decimals}f}".replace("-", "−")


def percent(confidence: float) -> str:
    """Return 0.95 as ``95 %``."""
    return f"{100 * confidence:g} %"


def spread(cell: Mapping[str, Any], decimals: int) -> str:
    """Return ``0.742 ± 0.012``, or the mean alone for one run."""
    text = number(cell["mean"], decimals)
    return text if cell["std"] is None else f"{text} ± {number(cell['std'], decimals)}"


def interval(cell: Mapping[str, Any], decimals: int) -> str:
    """Return ``[0.71, 0.77]``, or a dash where there is none."""
    if cell["low"] is None or cell["high"] is None:
        return NOTHING
    return f"[{number(cell['low'], decimals)}, {number(cell['high'], decimals)}]"


def results(summary: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row for each metric; again for the pooled folds, where given."""
    rows = [{"metric": name, "over": "runs", **summary[name]} for name in names]
    if "pooled" in summary:
        rows += [
            {"metric": name, "over": "seeds, folds pooled", **summary["pooled"][name]}
            for name in names
        ]
    return rows


def to_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Return rows as CSV; undefined cells are empty.

    Args:
        rows: each a mapping from column to value
        columns: header where there may be no rows; else that of the first row
    """
    stream = io.StringIO()
    header = list(rows[0]) if rows else list(columns)
    writer = csv.DictWriter(stream, header, lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: "" if v is None else _cell(v) for k, v in row.items()})
    return stream.getvalue()


def _cell(value: Any) -> Any:
    # Ten digits are more than any result is worth, and hide no rounding.
    return f"{value:.10g}" if isinstance(value, float) else value


def to_text(
    summary: Mapping[str, Any],
    names: Sequence[str],
    *,
    decimals: int,
    confidence: float,
    note: str = "",
) -> str:
    """Return the results as a short table for a terminal, with a note below."""
    lines = _lines(summary, names, decimals=decimals, confidence=confidence)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    shown = [
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([*shown, *(["", note] if note else [])])


def to_markdown(
    summary: Mapping[str, Any],
    names: Sequence[str],
    *,
    decimals: int,
    confidence: float,
    note: str = "",
) -> str:
    """Return the results as a Markdown table, with a note below."""
    head, *body = _lines(summary, names, decimals=decimals, confidence=confidence)
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *body]
    rows = "".join(f"| {' | '.join(markdown(c) for c in line)} |\n" for line in lines)
    return rows + (f"\n**{markdown(note)}**\n" if note else "")


def to_tex(
    summary: Mapping[str, Any],
    names: Sequence[str],
    *,
    decimals: int,
    confidence: float,
    note: str = "",
) -> str:
    """Return the results as a LaTeX table, with a note in its last row.

    It needs the package booktabs.
    """
    head, *body = _lines(summary, names, decimals=decimals, confidence=confidence)
    rows = [" & ".join(_tex(cell) for cell in line) + r" \\" for line in body]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"\toprule",
            " & ".join(_tex(cell) for cell in head) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            *([_tex_note(note, columns=len(head))] if note else []),
            r"\end{tabular}",
            "",
        ]
    )


def _lines(
    summary: Mapping[str, Any],
    names: Sequence[str],
    *,
    decimals: int,
    confidence: float,
) -> list[list[str]]:
    head = ["Metric", "Mean ± std", f"{percent(confidence)} interval", "n"]
    lines = [head]
    for row in results(summary, names):
        name = title(row["metric"])
        if row["over"] != "runs":
            name += " (folds pooled)"
        cells = [spread(row, decimals), interval(row, decimals), str(row["n"])]
        lines.append([name, *cells])
    return lines


def markdown(text: str) -> str:
    """Return text with what Markdown and HTML would take for markup escaped."""
    for character in "\\`*_<>|#":
        text = text.replace(character, f"\\{character}")
    text = text.replace("](", "]\\(")
    return " ".join(text.split())


def _tex_note(note: str, *, columns: int) -> str:
    width = r"p{0.9\linewidth}"
    return rf"\multicolumn{{{columns}}}{{{width}}}{{\footnotesize {_tex(note)}}} \\"


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)
