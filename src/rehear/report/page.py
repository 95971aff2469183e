"""The study on one page: one HTML file that loads nothing from anywhere.

Sounds and pictures are data URIs, figures inline SVG; there is no script, and
a content security policy forbids every request.
"""

from rehear.metrics import title
from rehear.report import record, results
from rehear.report.content import Content
from rehear.report.markup import document, grid, section, text, warning
from rehear.report.tables import interval, number, percent, spread

_MOST_LEAKS, _MOST_CAUTIONS = 5, 10


def render(content: Content) -> str:
    """Return the report as an HTML document."""
    sections = [
        ("results", "Results", _results(content)),
        ("training", "Learning curves", results.training(content)),
        ("errors", "Where it is right and wrong", results.errors(content)),
        ("groups", "Groups", results.groups(content)),
        ("listen", "The worst errors", results.listen(content)),
        ("data", "Data", record.data(content)),
        ("configuration", "Configuration", record.configuration(content)),
        ("provenance", "Provenance", record.provenance(content)),
        ("reproduce", "Reproduce it", record.reproduce(content)),
    ]
    shown = [entry for entry in sections if entry[2]]
    body = "".join(section(name, heading, part) for name, heading, part in shown)
    return document(
        f"{content.title}: {content.task} with {content.model}",
        _subtitle(content),
        _warnings(content) + body,
        links={name: heading for name, heading, _ in shown},
    )


def _subtitle(content: Content) -> str:
    seeds = list(dict.fromkeys(run.seed for run in content.runs))
    parts = [f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"]
    if content.has_folds:
        parts.append(f"{len({run.fold for run in content.runs})} folds")
    clips = content.pooled[0].scores["n"]["test"]
    return ", ".join([*parts, f"{clips:,} test clips"])


def _warnings(content: Content) -> str:
    found = ""
    if content.leaks:
        found += warning(
            "The split leaks: these scores may be too good.",
            content.leaks,
            most=_MOST_LEAKS,
            count=int(content.card.get("leak_count") or 0),
            note=f"Reason for using it all the same: {content.leak_reason}",
        )
    if content.cautions:
        found += warning(
            "Before these scores are believed:",
            content.cautions,
            most=_MOST_CAUTIONS,
            count=int(content.card.get("caution_count") or 0),
        )
    return found


def _results(content: Content) -> str:
    first, *others = content.names
    tiles = [_tile(content, name) for name in others]
    if content.task != "regression":
        tiles.append(_calibration_error(content))
    body = _headline(content, first)
    if tiles:
        body += f'<div class="tiles">{"".join(tiles)}</div>'
    cards = [results.runs_chart(content), results.runs_table(content)]
    note = str(content.runs[0].scores.get("note") or "")
    about = f'<p class="hint">{text(note[:1].upper() + note[1:])}.</p>' if note else ""
    return body + grid(part for part in cards if part) + about


def _headline(content: Content, name: str) -> str:
    cell = content.summary[name]
    lines = [_over(content, cell["n"])]
    if cell["std"] is not None:
        level = percent(content.confidence)
        limits = interval(cell, content.decimals)
        # Runs of one seed share most of their training clips.
        rough = " (rough, since folds share clips)" if content.has_folds else ""
        lines.append(f"{level} t-interval of the mean{rough}: {limits}")
    if content.has_folds:
        pooled = content.summary["pooled"][name]
        lines.append(f"All folds pooled: {spread(pooled, content.decimals)}")
    lines.append(results.typical_interval(content, name))
    more = "".join(f'<div class="more">{text(line)}</div>' for line in lines if line)
    return (
        f'<div class="card tile main"><div class="name">{text(title(name))}, test</div>'
        f'<div class="value">{_value(content, name)}</div>{more}</div>'
    )


def _over(content: Content, n: int) -> str:
    if n == 1:
        return "One run (n = 1): nothing is known about the spread over seeds."
    if n == 0:
        return "Undefined in every run."
    over = (
        "runs (seeds and folds)" if content.has_folds else "runs with different seeds"
    )
    return f"Mean ± standard deviation of n = {n} {over}"


def _value(content: Content, name: str) -> str:
    cell = content.summary[name]
    text_ = number(cell["mean"], content.decimals)
    if cell["std"] is None:
        return text_
    return f"{text_} <small>± {number(cell['std'], content.decimals)}</small>"


def _tile(content: Content, name: str) -> str:
    more = interval(content.summary[name], content.decimals)
    return (
        f'<div class="card tile"><div class="name">{text(title(name))}</div>'
        f'<div class="value">{_value(content, name)}</div>'
        f'<div class="more">{text(more if more != "–" else "")}</div></div>'
    )


def _calibration_error(content: Content) -> str:
    errors = [run.scores["calibration"]["ece"] for run in content.pooled]
    defined = [error for error in errors if error is not None]
    if not defined:
        return ""
    mean = number(sum(defined) / len(defined), content.decimals)
    return (
        '<div class="card tile"><div class="name">Calibration error</div>'
        f'<div class="value">{mean}</div><div class="more">ECE; 0 is best</div></div>'
    )
