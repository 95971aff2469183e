"""What the documentation says, beside its commands."""

import ast
import importlib.util
import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from ruamel.yaml import YAML

import pages
from rehear import checking, inspection, params

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
WITH_CODE = [
    page
    for page in PAGES
    if any(block.language in ("python", "yaml") for block in pages.blocks(page))
]


@pytest.fixture
def own_catalogues(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget afterwards what a page adds to the catalogues."""
    for catalogue in inspection.catalogues().values():
        monkeypatch.setattr(catalogue, "_table", dict(catalogue._table))


@pytest.mark.usefixtures("own_catalogues")
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_python_runs_and_yaml_is_accepted(page: Path, tmp_path: Path) -> None:
    base = YAML(typ="safe").load(ROOT / "params.yaml")
    for block in pages.blocks(page):
        if "skip" in block.marks:
            continue
        if block.language == "python":
            file = tmp_path / f"block_{block.line}.py"
            file.write_text(block.text, encoding="utf-8")
            runpy.run_path(str(file))
        elif block.language == "yaml":
            file = tmp_path / f"params_{block.line}.yaml"
            tree = pages.merged(base, YAML(typ="safe").load(block.text))
            YAML().dump(tree, file)
            checking.check_parts(params.load(file))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_skipped_blocks_have_a_reason_and_others_a_language(page: Path) -> None:
    known = {"bash", "python", "yaml", "text", "csv", ""}
    for block in pages.blocks(page):
        assert block.language in known, block
        if "skip" in block.marks:
            assert re.fullmatch(r"\(.{10,}\)", block.marks["skip"]), block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def test_every_page_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    missing = [page for page in DOCS if page.relative_to(ROOT).as_posix() not in text]
    assert missing == []


def test_decisions_fit_on_a_page() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert decisions
    for page in decisions:
        assert len(page.read_text("utf-8").splitlines()) <= 50, page.name


def script(name: str) -> ModuleType:
    """Import a script of ``docs/``."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_of_parameters_is_up_to_date() -> None:
    module = script("make_params")
    assert module.PAGE.read_text("utf-8") == module.page(), (
        "run python docs/make_params.py"
    )


def messages() -> Iterator[str]:
    """Yield the text of every string in the toolkit, ``…`` for what varies."""
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_errors_in_the_documentation_are_those_of_the_toolkit() -> None:
    shown = []
    for page in ("own_data.md", "annotations.md"):
        text = (ROOT / "docs" / page).read_text("utf-8").rpartition("## What can go wr")
        shown += re.findall(r"^\| `([^`]+)` \|", text[2], flags=re.M)
    assert len(shown) > 50
    known = list(messages())
    for message in shown:
        fragments = [re.escape(part) for part in message.split("…") if len(part) > 2]
        pattern = re.compile(".*".join(fragments), re.DOTALL)
        assert any(map(pattern.search, known)), message


def test_numbers_in_the_readme_are_those_of_the_reference_study() -> None:
    module = script("make_readme")
    summary = json.loads(module.SUMMARY.read_text("utf-8"))
    text = " ".join(module.README.read_text("utf-8").split())
    assert module.sentence(summary) in text, "run python docs/make_readme.py"


@pytest.mark.parametrize("name", ["report.png", "exp_show.png"])
def test_pictures_are_small(name: str) -> None:
    file = ROOT / "docs" / "images" / name
    assert file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert file.stat().st_size < 200_000


def test_every_data_set_is_in_the_list() -> None:
    text = (ROOT / "docs" / "data_sets.md").read_text("utf-8")
    named = set(re.findall(r"^\| `(\w+)` \|", text, flags=re.M))
    assert named == set(inspection.catalogues()["datasets"].names())
