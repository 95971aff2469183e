"""The modules that a stage reads: its imports, theirs, and the parts by name.

``python tests/closure.py`` writes them into dvc.yaml (``make deps``).
"""

import ast
import re
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
STAGES = ("fetch", "pretrained", "preprocess", "train", "evaluate", "postprocess")
# A catalogue names its parts as "package.module:Attribute".
PART = re.compile(r"^(rehear(?:\.\w+)+):\w+$")


def file_of(module: str) -> Path | None:
    """Return the file of a module, if it is one of ours."""
    path = SOURCE / module.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def imports_of(path: Path) -> set[str]:
    """Return all names that a file imports, anywhere in it, or names as parts."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module}
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = PART.match(node.value)
            found |= {match[1]} if match else set()
    return {name for name in found if name.split(".")[0] == "rehear"}


def closure(stage: str) -> list[str]:
    """Return the files that a stage reads, relative to the repository."""
    waiting, files = {f"rehear.stages.{stage}", "rehear.params"}, set()
    while waiting:
        module = waiting.pop()
        parents = module.split(".")
        waiting |= {
            ".".join(parents[:n])
            for n in range(1, len(parents))
            if file_of(".".join(parents[:n])) not in files
        }
        path = file_of(module)
        if path is not None and path not in files:
            files.add(path)
            waiting |= imports_of(path)
    return sorted(path.relative_to(ROOT).as_posix() for path in files)


def grouped(files: list[str]) -> list[str]:
    """Name a folder instead of its files where a stage reads all of them.

    DVC parses its lock on every command, so fewer entries make all of them faster.
    """
    known, listed = set(files), set()
    for file in files:
        folder = Path(file).parent
        modules = {
            p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*.py")
        }
        is_whole = modules <= known and folder.as_posix() != "src/rehear"
        listed.add(folder.as_posix() if is_whole else file)
    return sorted(listed)


def main() -> None:
    """Write the closures into dvc.yaml."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = ROOT / "dvc.yaml"
    pipeline = yaml.load(path.read_text(encoding="utf-8"))
    for stage in STAGES:
        entry = pipeline["stages"][stage]
        others = [d for d in entry.get("deps", []) if not d.startswith("src/")]
        if "deps" not in entry:
            entry.insert(list(entry).index("params"), "deps", [])
        entry["deps"] = [*others, *grouped(closure(stage))]
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(pipeline, stream)


if __name__ == "__main__":
    main()
