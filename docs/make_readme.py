"""Bring the README's numbers and pictures in line with the reference study.

``python docs/make_readme.py`` needs Chromium, what ``make repro`` writes and, for
the second picture, experiments that ``dvc exp show`` can list.
"""

import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
SUMMARY = ROOT / "metrics" / "summary.json"
IMAGES = ROOT / "docs" / "images"
#: Columns that the second picture leaves out: hashes, and all metrics but one.
DROPPED = (
    "Executor|State|Created|runs|(accuracy|f1_macro).*|uar.n|.*transforms"
    "|(data|models|predictions|src|vendor|requirements).*"
)
COMMAND = ("dvc", "exp", "show", "--only-changed", "--drop", DROPPED)
TERMINAL = """\
<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #16181d; color: #e4e6eb }}
pre {{ margin: 16px 20px; font: 14px/1.35 'DejaVu Sans Mono', monospace }}
b {{ color: #7dcfff; font-weight: normal }}
</style><pre><b>$ {command}</b>
{text}</pre>
"""


def shoot(page: Path, picture: Path, *, width: int, height: int) -> None:
    """Write what Chromium shows of a page as PNG."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        sys.exit("Chromium is not installed")
    command = [program, "--headless", "--no-sandbox", "--hide-scrollbars"]
    command += [f"--window-size={width},{height}", f"--screenshot={picture}"]
    subprocess.run([*command, page.as_uri()], check=True, stderr=subprocess.DEVNULL)


def shown(width: int) -> str:
    """Return what the command prints on a terminal of some columns."""
    variables = {**os.environ, "COLUMNS": str(width), "PYTHONUTF8": "1"}
    answer = subprocess.run(
        [*COMMAND, "--no-pager"],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.strip("\n")


def sentence(summary: Mapping[str, Any]) -> str:
    """Return the README's sentence of numbers, from ``metrics/summary.json``."""
    uar = summary["uar"]
    return (
        f"Over {uar['n']} seeds, the unweighted average recall on the test split is "
        f"{uar['mean']:.3f}, with a standard deviation of {uar['std']:.3f}."
    )


def write_sentence() -> None:
    """Put the numbers between their marks in the README."""
    text = sentence(json.loads(SUMMARY.read_text(encoding="utf-8")))
    marked = re.sub(
        r"(<!-- numbers -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{textwrap.fill(text, 84)}\n{found[2]}",
        README.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    README.write_text(marked, encoding="utf-8", newline="\n")


def main() -> None:
    """Write the sentence and both pictures."""
    write_sentence()
    shoot(
        ROOT / "reports" / "report.html", IMAGES / "report.png", width=1100, height=1150
    )
    text = shown(200)
    lines = text.splitlines()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "terminal.html"
        page.write_text(
            TERMINAL.format(
                command=f"{shlex.join(COMMAND[:5])} …", text=html.escape(text)
            ),
            encoding="utf-8",
        )
        shoot(
            page,
            IMAGES / "exp_show.png",
            width=round(8.43 * max(map(len, lines))) + 48,
            height=19 * (len(lines) + 1) + 36,
        )


if __name__ == "__main__":
    main()
