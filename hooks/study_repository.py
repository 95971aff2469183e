"""Begin a study's git repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

#: What the notes say to do when the step they are about is missing.
BY_HAND = "git init && git add . && git commit -m 'Begin the study'"


def begin(study: Path, *, title: str) -> list[str]:
    """Run ``git init`` and make the first commit, as far as that is possible.

    Args:
        study: root of the study
        title: of the study, for the message

    Returns:
        what could not be done and what to do about it, one note for each
    """
    try:
        enclosing = _git(study, "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        return [f"git is not installed; install it, then run in the study: {BY_HAND}"]
    if enclosing.returncode == 0:
        if study.samefile(enclosing.stdout.strip()):
            return []  # generated once more, over itself
        note = (
            f"{study.name} is inside the git repository {enclosing.stdout.strip()}, "
            "so it got none of its own; add it there, or move it out of there and "
            f"run in it: {BY_HAND}"
        )
        return [note]
    steps = [
        ["init", "--quiet", "--initial-branch", "main"],
        ["add", "--all"],
        # A signature may ask for a pass phrase; somebody else's git hooks may
        # ask for anything.
        [
            *("-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify"),
            *("-m", f"Begin the study: {title}"),
        ],
    ]
    for step in steps:
        answer = _git(study, *step)
        if answer.returncode:
            return [_reason(answer.stderr)]
    return []


def _git(study: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=study, capture_output=True, text=True, check=False
    )


def _reason(stderr: str) -> str:
    if "tell me who you are" in stderr or "empty ident name" in stderr:
        return (
            "git does not know you, so the first commit is missing; run: git config "
            "--global user.name 'Your Name'; git config --global user.email "
            "you@example.org; then, in the study: git commit -m 'Begin the study'"
        )
    last = (stderr.strip().splitlines() or ["no message"])[-1]
    return f"git says: {last}; when that is mended, run in the study: {BY_HAND}"
