"""Every command that the documentation shows, run in the order of the page."""

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import pages
from pages import Block

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if any(block.language == "bash" for block in pages.blocks(page))
]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_a_page_run_in_order(
    page: Path,
    new_study: Callable[[str], tuple[Path, dict[str, str]]],
    tmp_path: Path,
) -> None:
    blocks = [block for block in pages.blocks(page) if "skip" not in block.marks]
    answers = next((b.marks["study"] for b in blocks if "study" in b.marks), "")
    study, variables = new_study(answers)
    printed = ""
    for block in blocks:
        if "file" in block.marks:
            (study / block.marks["file"]).write_text(block.text, encoding="utf-8")
        elif "merge" in block.marks:
            merge(block, study / "params.yaml")
        elif block.language == "bash":
            printed = run(block, study, variables, tmp_path / "log")
        elif block.language == "text":
            assert_prints(block, printed)


def merge(block: Block, file: Path) -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(pages.merged(yaml.load(file), yaml.load(block.text)), file)


def run(block: Block, study: Path, variables: dict[str, str], log: Path) -> str:
    commands = block.marks.get("as", block.text)
    last = block.marks.get("then", "")
    script = f"""set -euo pipefail
finally() {{ code=$?; cd {shlex.quote(str(study))}; {last or ":"}; exit $code; }}
trap finally EXIT
{block.marks.get("first", "")}
{commands}"""
    # A file, since the queue's workers keep a pipe open after their parent's end.
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=study,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    printed = log.read_text(encoding="utf-8", errors="replace")
    is_right = (done.returncode != 0) == ("fails" in block.marks)
    assert is_right, f"{block}: exit code {done.returncode}\n{printed[-4000:]}"
    return printed


def assert_prints(block: Block, printed: str) -> None:
    for line in block.text.splitlines():
        pattern = ".*".join(map(re.escape, line.split("…")))
        assert re.search(pattern, printed), f"{block}: {line!r} not in:\n{printed}"
