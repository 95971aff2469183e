"""Figures: Vega-Lite specifications, drawn as SVG without a browser.

Colours are CSS variables of the page, so that one figure suits a light and a
dark page. vl-convert needs no network.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Row = Mapping[str, Any]

WIDTH = 330  # of the plotting area, in px; fits a phone with its axis
INK, MUTED, GRID, PAPER = "var(--ink)", "var(--muted)", "var(--line)", "var(--card)"
BLUE, ORANGE, GREEN = "var(--blue)", "var(--orange)", "var(--green)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
_LONGEST_LABEL = 22
_LARGEST_WITH_NUMBERS = 14

_AXIS = {
    "labelColor": MUTED,
    "titleColor": MUTED,
    "titleFontWeight": "normal",
    "titleFontSize": 12,
    "labelFontSize": 11,
    "titlePadding": 8,
    "gridColor": GRID,
    "domain": False,
    "ticks": False,
    "labelPadding": 6,
}
CONFIG: Spec = {
    "font": FONT,
    "background": None,
    "view": {"stroke": None},
    "axis": _AXIS,
    "header": {"labelColor": INK, "labelFontSize": 12, "title": None},
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": INK,
        "labelFontSize": 12,
        "symbolType": "stroke",
        "symbolStrokeWidth": 3,
        "symbolOpacity": 1,
        "offset": 4,
    },
    "aria": False,
}


def svg(spec: Spec, *, name: str, description: str) -> str:
    """Draw a specification as an SVG element.

    Args:
        spec: Vega-Lite, as the functions below return it
        name: unique on the page, since names inside an SVG are global there
        description: what the figure shows, for those who cannot see it
    """
    import html

    import vl_convert

    text = scoped(vl_convert.vegalite_to_svg({"$schema": _SCHEMA, **spec}), name)
    # Empty groups and hidden backgrounds are a third of the text.
    text = re.sub(r'<path class="(?:fore|back)ground"[^>]*d=""[^>]*/>', "", text)
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', text)
    assert size is not None
    opening = (
        f'<svg role="img" aria-label="{html.escape(description)}" class="chart" '
        f'style="max-width:{round(float(size[1]) * 1.25)}px" viewBox="0 0 {size[1]} '
        f'{size[2]}" width="{size[1]}" height="{size[2]}" '
        'xmlns="http://www.w3.org/2000/svg">'
    )
    return opening + text[text.index(">", text.index("<svg")) + 1 :]


def scoped(text: str, name: str) -> str:
    """Begin every name inside an SVG with ``name``: they are global on a page."""
    return re.sub(r'\b(id="|url\(#|href="#)', rf"\1{name}-", text)


def _short(labels: Sequence[str]) -> list[str]:
    """Cut long labels in the middle, where they still differ then."""
    keep = _LONGEST_LABEL // 2
    cut = [
        label if len(label) <= _LONGEST_LABEL else f"{label[:keep]}…{label[1 - keep :]}"
        for label in labels
    ]
    return cut if len(set(cut)) == len(set(labels)) else list(labels)


def _padding(labels: Sequence[str]) -> dict[str, float]:
    """Leave room: browsers set text in wider fonts than the one measured with."""
    longest = max(map(len, labels), default=0)
    return {"left": 8 + 1.2 * longest, "right": 10, "top": 4, "bottom": 4}


def _chart(rows: Sequence[Row], **parts: Any) -> Spec:
    spec: Spec = {
        "data": {"values": [dict(row) for row in rows]},
        "width": WIDTH,
        "height": 210,
        "padding": _padding(()),
        "config": CONFIG,
    }
    return spec | parts


def _quantity(field: str, title: str | None = None, **more: Any) -> Spec:
    scale = more.pop("scale", {"zero": False})
    axis = {"tickCount": 5, **more.pop("axis", {})}
    kind = {"field": field, "type": "quantitative"}
    return {**kind, "title": title, "scale": scale, "axis": axis, **more}


def curves(rows: Sequence[Row], columns: Mapping[str, str], *, title: str) -> Spec:
    """Draw columns over epochs: one thin line for each run, and their mean.

    Args:
        rows: one for each run and epoch
        columns: column → name in the legend
        title: of the vertical axis
    """
    long = [
        {"run": row["run"], "epoch": row["epoch"], "what": name, "value": row[column]}
        for row in rows
        for column, name in columns.items()
        if row.get(column) is not None
    ]
    colour: Spec = {
        "field": "what",
        "type": "nominal",
        "scale": {"domain": list(columns.values()), "range": [BLUE, ORANGE]},
        "legend": {} if len(columns) > 1 else None,
    }
    last = max((int(row["epoch"]) for row in long), default=1)
    epoch: Spec = {"grid": False}
    if last <= 8:  # the automatic ticks would fall between epochs
        epoch["values"] = list(range(1, last + 1))
    x = _quantity("epoch", "epoch", axis=epoch, scale={"domain": [min(1, last), last]})
    several = len({row["run"] for row in long}) > 1
    thin = {"type": "line", "opacity": 0.35 if several else 1, "strokeWidth": 1.2}
    mean = {"type": "line", "strokeWidth": 2.6}
    if last == 1:
        thin, mean = {"type": "point", "filled": True}, {"type": "point", "size": 90}
    y = _quantity("value", title)
    both = {"x": x, "color": colour}
    layers = [
        {"mark": thin, "encoding": {**both, "y": y, "detail": {"field": "run"}}},
        {"mark": mean, "encoding": {**both, "y": {**y, "aggregate": "mean"}}},
    ]
    return _chart(long, layer=layers)


def runs(rows: Sequence[Row], *, title: str) -> Spec:
    """Draw the test score of every run with its interval, and their mean.

    Args:
        rows: with ``run``, ``value``, ``low`` and ``high``
        title: of the horizontal axis
    """
    y = {"field": "run", "type": "nominal", "title": None, "sort": None}
    x = _quantity("value", title)
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "color": BLUE, "strokeWidth": 2, "opacity": 0.55},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "color": BLUE},
            "encoding": {"x": x, "y": y},
        },
    ]
    if len(rows) > 1:
        mean = {"type": "rule", "color": INK, "strokeDash": [4, 4]}
        layers.append(
            {"mark": mean, "encoding": {"x": {**x, "aggregate": "mean"}}},
        )
    names = [str(row["run"]) for row in rows]
    return _chart(rows, layer=layers, height={"step": 26}, padding=_padding(names))


def bars(rows: Sequence[Row], points: Sequence[Row], *, value: str, title: str) -> Spec:
    """Draw one bar for each label with its interval, and a dot for each run.

    Args:
        rows: with ``label``, ``low``, ``high`` and the column ``value``
        points: with ``label`` and ``value``, for each run
        value: column of the bar
        title: of the horizontal axis
    """
    labels = [str(row["label"]) for row in rows]
    names = dict(zip(labels, _short(labels), strict=True))
    drawn = [
        {"name": names[row["label"]], "value": row[value]}
        | {"low": row["low"], "high": row["high"]}
        for row in rows
    ]
    lowest = min((row["low"] or 0 for row in drawn), default=0)
    step = 24 if len(rows) <= 25 else 15
    y = {"field": "name", "type": "nominal", "title": None, "sort": [*names.values()]}
    x = _quantity("value", title, scale={"domain": [min(0, lowest), 1]})
    bar = {"type": "bar", "color": BLUE, "opacity": 0.3, "height": step - 8}
    rule = {"type": "rule", "color": BLUE, "strokeWidth": 2}
    limits = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y}
    layers: list[Spec] = [
        {"mark": bar, "encoding": {"x": x, "y": y}},
        {"mark": rule, "encoding": limits},
    ]
    if len(points) > len(rows):
        tick = {"type": "tick", "color": INK, "thickness": 1.5, "height": step / 2.4}
        dots = [{"name": names[p["label"]], "value": p["value"]} for p in points]
        both = {"x": x, "y": y}
        layers.append({"data": {"values": dots}, "mark": tick, "encoding": both})
    size = {"height": {"step": step}, "padding": _padding(list(names.values()))}
    return _chart(drawn, layer=layers, **size)


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Spec:
    """Draw a confusion matrix; shades are shares of the actual class."""
    names = _short(labels)
    rows = []
    for actual, line in zip(names, counts, strict=True):
        total = sum(line)
        for predicted, count in zip(names, line, strict=True):
            share = count / total if total else 0.0
            cell = {"actual": actual, "predicted": predicted, "count": int(count)}
            shown = "" if not count else f"{100 * share:.0f}"
            rows.append({**cell, "share": share, "shown": shown})
    few = len(labels) <= _LARGEST_WITH_NUMBERS
    step = max(5, min(40, 400 // max(1, len(labels))))
    axis = {"grid": False, "labelOverlap": not few, "labelLimit": 130}
    x = {"field": "predicted", "type": "nominal", "sort": names, "title": None}
    y = {"field": "actual", "type": "nominal", "sort": names, "title": None}
    encoding = {
        "x": {**x, "axis": {**axis, "labelAngle": -45}},
        "y": {**y, "axis": axis},
    }
    shade = {"field": "share", "type": "quantitative", "legend": None}
    gap = 1 if step > 12 else 0
    cell = {"type": "rect", "color": BLUE, "stroke": PAPER, "strokeWidth": gap}
    opacity = {**shade, "scale": {"domain": [0, 1], "range": [0.05, 1]}}
    layers: list[Spec] = [{"mark": cell, "encoding": {"opacity": opacity}}]
    if few:
        colour = {
            "condition": {"test": "datum.share > 0.5", "value": PAPER},
            "value": INK,
        }
        layers.append(
            {
                "mark": {"type": "text", "fontSize": 11},
                "encoding": {"text": {"field": "shown"}, "color": colour},
            }
        )
    size: Spec = {"width": {"step": step}, "height": {"step": step}}
    size["padding"] = _padding(names)
    return _chart(rows, encoding=encoding, layer=layers, **size)


def calibration(rows: Sequence[Row], *, sure: str, right: str) -> Spec:
    """Draw how often the model is right over how sure it is.

    Args:
        rows: bins with ``confidence``, ``accuracy`` and ``n``
        sure: title of the horizontal axis
        right: title of the vertical axis
    """
    unit = {"domain": [0, 1]}
    x = _quantity("confidence", sure, scale=unit)
    y = _quantity("accuracy", right, scale=unit)
    diagonal = [{"confidence": v, "accuracy": v} for v in (0, 1)]
    ideal = {"type": "line", "color": MUTED, "strokeDash": [4, 4], "strokeWidth": 1}
    size: Spec = {
        "field": "n",
        "type": "quantitative",
        "legend": None,
        "scale": {"range": [25, 420]},
    }
    both = {"x": x, "y": y}
    layers: list[Spec] = [
        {"data": {"values": diagonal}, "mark": ideal, "encoding": both},
        {"mark": {"type": "line", "color": BLUE, "opacity": 0.3}, "encoding": both},
        {
            "mark": {"type": "point", "filled": True, "color": BLUE, "opacity": 0.75},
            "encoding": {**both, "size": size},
        },
    ]
    return _chart(rows, layer=layers, height=250)


def scatter(rows: Sequence[Row], *, title: str) -> Spec:
    """Draw predicted over actual numbers of one target."""
    values = [row[key] for row in rows for key in ("actual", "predicted")]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    domain = {"domain": [low, high], "nice": True}
    x = _quantity("actual", f"actual {title}", scale=domain)
    y = _quantity("predicted", f"predicted {title}", scale=domain)
    line = [{"actual": v, "predicted": v} for v in (low, high)]
    ideal = {"type": "line", "color": MUTED, "strokeDash": [4, 4], "strokeWidth": 1}
    dot = {"type": "circle", "color": BLUE, "opacity": 0.35, "size": 22}
    layers: list[Spec] = [
        {"data": {"values": line}, "mark": ideal, "encoding": {"x": x, "y": y}},
        {"mark": dot, "encoding": {"x": x, "y": y}},
    ]
    return _chart(rows, layer=layers, height=250)


def stacked(
    names: Sequence[str], counts: Mapping[str, Sequence[int]], *, title: str
) -> Spec:
    """Draw one bar for each label or bin, stacked by split.

    Args:
        names: of the bars, from above
        counts: for each split, the number of clips of every bar
        title: of the horizontal axis
    """
    shown = _short(names)
    rows = [
        {"name": name, "part": part, "place": place, "n": n}
        for place, part in enumerate(counts)
        for name, n in zip(shown, counts[part], strict=True)
    ]
    colours = [BLUE, ORANGE, GREEN][: len(counts)]
    legend = {"symbolType": "square", "symbolStrokeWidth": 0}
    colour: Spec = {
        "field": "part",
        "type": "nominal",
        "scale": {"domain": list(counts), "range": colours},
        "legend": legend if len(counts) > 1 else None,
    }
    step = 20 if len(names) <= 25 else 15
    y = {"field": "name", "type": "nominal", "title": None, "sort": shown}
    x = _quantity("n", title, scale={"zero": True}, axis={"format": ",d"})
    encoding = {
        "x": {**x, "stack": "zero"},
        "y": y,
        "color": colour,
        "order": {"field": "place", "type": "quantitative"},
    }
    bar = {"type": "bar", "opacity": 0.8, "height": step - 5}
    size: Spec = {"height": {"step": step}, "padding": _padding(shown)}
    return _chart(rows, mark=bar, encoding=encoding, **size)
