"""Complete a study: the toolkit's wheel, the lock, the licence, git.

This file is rendered and runs alone, from a temporary folder. What it does is
written in the modules beside it, in the template's repository, which it has to
find first: that is also where the toolkit is built from.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")
STUDY = Path.cwd()


def candidates(answers: dict[str, str]) -> Iterator[Path]:
    """Yield folders that the template may be in.

    cookiecutter names it, but as it was typed: relative to the folder that it
    was called in, which is not the one that hooks run in.
    """
    named = answers.get("_repo_dir", "")
    if not named:
        return
    callers = [answers.get("_output_dir", ""), os.environ.get("PWD", "")]
    yield Path(named).expanduser()
    for folder in callers:
        yield Path(folder) / named
    # While hooks run, cookiecutter itself stays in the folder of the template.
    yield Path(f"/proc/{os.getppid()}/cwd")


def is_template(folder: Path) -> bool:
    """Tell whether this is the repository that the hook belongs to."""
    parts = ("cookiecutter.json", "hooks/study_lock.py", "src/rehear/__init__.py")
    return folder.is_absolute() and all((folder / part).is_file() for part in parts)


def clone(answers: dict[str, str], folder: Path) -> Path:
    """Clone the template at the commit that is being generated.

    cruft tells only the address and the commit, not where its clone is.

    Raises:
        SystemExit: if git cannot
    """
    template = answers.get("_template", "")
    revision = answers.get("_commit") or answers.get("_checkout") or "HEAD"
    commands = [
        ["git", "clone", "--quiet", "--no-checkout", template, str(folder)],
        ["git", "-C", str(folder), "checkout", "--quiet", revision],
    ]
    for command in commands:
        try:
            answer = subprocess.run(
                command, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            fail(f"git is needed to get the toolkit from {template}; install git")
        if answer.returncode:
            last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
            fail(f"cannot get the toolkit from {template} at {revision}: {last}")
    return folder


def fail(problem: str) -> None:
    """End the generation; cookiecutter then removes what it wrote.

    Raises:
        SystemExit: always
    """
    print(f"rehear: {problem}", file=sys.stderr)
    sys.exit(1)


def place_own_data(study: Path, dataset: str) -> None:
    """Make ``data/own`` where the answers need it, and no ``data`` elsewhere.

    git ignores ``data/own``, in the template as well: the example of a table
    lies beside it there.
    """
    table, own = study / "data" / "labels.csv", study / "data" / "own"
    if dataset in ("csv", "folder"):
        own.mkdir(exist_ok=True)
    else:
        (study / "data" / "README.md").unlink()
    if dataset == "csv" and not (own / table.name).exists():
        table.rename(own / table.name)
    else:
        table.unlink()
    # Generated over an older study, it holds data: then it stays.
    with contextlib.suppress(OSError):
        table.parent.rmdir()


def complete(template: Path) -> None:
    """Write what the template's files cannot hold.

    Raises:
        SystemExit: if the toolkit cannot be built
    """
    sys.dont_write_bytecode = True  # the template is not ours to write in
    sys.path.insert(0, str(template / "hooks"))
    import study_licence
    import study_lock
    import study_repository
    import toolkit_wheel

    try:
        toolkit_wheel.build(template, STUDY / ANSWERS["__wheel"])
    except toolkit_wheel.BuildError as error:
        fail(str(error))
    extras = [extra for extra in ANSWERS["__extras"].split(",") if extra]
    study_lock.write(template, STUDY, extras=extras, name=ANSWERS["study_slug"])
    place_own_data(STUDY, ANSWERS["dataset"])
    study_licence.write(STUDY, licence=ANSWERS["licence"], author=ANSWERS["author"])
    # cruft calls hooks in temporary folders, too, and compares what they leave.
    if ANSWERS.get("_output_dir"):
        for note in study_repository.begin(STUDY, title=ANSWERS["title"]):
            print(f"NOTE: {note}", file=sys.stderr)
        print(f"{STUDY.name}: cd {STUDY.name} && make repro")


def main() -> None:
    """Find the template, then complete the study."""
    found = next(filter(is_template, candidates(ANSWERS)), None)
    if found is not None:
        complete(found.resolve())
        return
    with tempfile.TemporaryDirectory(prefix="rehear-") as folder:
        complete(clone(ANSWERS, Path(folder) / "template"))


if __name__ == "__main__":
    main()
