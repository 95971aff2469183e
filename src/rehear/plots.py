"""The plots of ``dvc.yaml`` for several revisions, drawn without network.

The page that ``dvc plots diff`` writes loads its drawing code from the network
and stays blank without it. Here the same figures are drawn beforehand.
"""

import base64
import json
import mimetypes
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rehear import atomic
from rehear.errors import StageError
from rehear.report.charts import scoped
from rehear.report.markup import card, document, stack, text


def render(study: Path, revisions: Sequence[str], out: Path) -> Path:
    """Draw the plots of revisions into one HTML file that loads nothing.

    Args:
        study: its folder
        revisions: commits, branches or experiments; none compares the workspace
            with the last commit
        out: folder for ``index.html``, or an ``.html`` file

    Returns:
        The HTML file.

    Raises:
        StageError: if DVC cannot read the plots, or there are none
    """
    found = _plots(study, revisions)
    drawn = {
        name: [_figure(study, name, plot, f"p{i}-{j}") for j, plot in enumerate(plots)]
        for i, (name, plots) in enumerate(found["data"].items())
        if plots
    }
    problems = [_problem(error) for error in found.get("errors") or ()]
    if not drawn:
        reason = f": {problems[0]}" if problems else ""
        raise StageError(
            f"no plots in {' and '.join(revisions) or 'the workspace'}{reason}; list "
            "them under plots: in dvc.yaml and run `dvc repro`"
        )
    notes = "".join(f'<p class="hint">{text(problem)}</p>' for problem in problems)
    cards = (card("".join(figures), heading=name) for name, figures in drawn.items())
    page = document(
        f"Plots of {study.resolve().name}",
        ", ".join(_shown(found["data"])),
        f'<section class="figures">{stack(cards)}</section>{notes}',
    )
    target = out if out.suffix == ".html" else out / "index.html"
    atomic.write_text(target, page)
    return target


def _plots(study: Path, revisions: Sequence[str]) -> dict[str, Any]:
    # "--" keeps a revision such as "-o" from being read as an option.
    command = [sys.executable, "-m", "dvc", "plots", "diff", "--json"]
    done = subprocess.run(
        [*command, *(["--", *revisions] if revisions else [])],
        cwd=study,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    if done.returncode:
        reason = lines[-1].removeprefix("ERROR: ") if lines else done.stderr.strip()
        shown = " ".join(["dvc plots diff", *revisions])
        raise StageError(
            f"`{shown}` failed: {reason}; check that the revisions exist "
            "(`git log`, `dvc exp show`)"
        )
    # Where there is nothing to plot, DVC prints an empty object, or nothing.
    return {"data": {}, **json.loads(done.stdout or "{}")}


def _shown(plots: Mapping[str, Any]) -> list[str]:
    names = (r for group in plots.values() for p in group for r in p["revisions"])
    return list(dict.fromkeys(names))


def _problem(error: Mapping[str, Any]) -> str:
    place = " ".join(str(error[key]) for key in ("rev", "name") if error.get(key))
    return f"{place}: {error.get('msg') or error.get('type') or 'not drawn'}"


def _figure(study: Path, name: str, plot: Mapping[str, Any], scope: str) -> str:
    if plot["type"] == "image":
        return _image(study, name, plot)
    import vl_convert

    content = plot["content"]
    spec = json.loads(content) if isinstance(content, str) else content
    spec["config"] = {**spec.get("config", {}), "aria": False}
    try:
        svg: str = vl_convert.vegalite_to_svg(spec)
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        return f'<p class="hint">{text(name)} cannot be drawn: {text(reason)}</p>'
    return f'<div class="figure">{scoped(svg[svg.index("<svg") :], scope)}</div>'


def _image(study: Path, name: str, plot: Mapping[str, Any]) -> str:
    path = study / str(plot.get("url", ""))
    if not path.is_file():
        return f'<p class="hint">{text(name)}: no picture at {text(path)}</p>'
    kind = mimetypes.guess_type(path.name)[0] or "image/png"
    data = base64.b64encode(path.read_bytes()).decode()
    label = text(", ".join(plot["revisions"]))
    return (
        f'<div class="figure"><img src="data:{kind};base64,{data}" alt="{text(name)}">'
        f'<p class="hint">{label}</p></div>'
    )
