"""Commits of a study, asked of git."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rehear import processes
from rehear.errors import StageError

#: Variables that would tie a program to this workspace or environment.
LEFT_BEHIND = frozenset(
    {
        "DVC_EXP_BASELINE_REV",
        "DVC_EXP_NAME",
        "DVC_ROOT",
        "DVC_STAGE",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
        "PYTHONHOME",
        "PYTHONPATH",
        "REHEAR_ENTERED",
        "VIRTUAL_ENV",
    }
)


@dataclass(frozen=True)
class Commit:
    """A commit of a study.

    Attributes:
        repository: root of the git repository
        prefix: the study's folder in it; empty when that is the root
        revision: as asked for
        sha: the full hash
        date: of the commit, ISO 8601
        is_dirty: whether the study has changes that are not in any commit
    """

    repository: Path
    prefix: str
    revision: str
    sha: str
    date: str
    is_dirty: bool


def git(folder: Path, *arguments: str) -> str:
    """Return the output of a git command.

    Raises:
        StageError: if git is missing or fails
    """
    variables = {k: v for k, v in os.environ.items() if k not in LEFT_BEHIND}
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    except FileNotFoundError:
        raise StageError("git is not installed; a commit cannot be read") from None
    if answer.returncode:
        raise StageError(
            f"git {arguments[0]} failed in {folder}: {processes.reason(answer.stderr)}"
        )
    return answer.stdout


def find_commit(study: Path, revision: str) -> Commit:
    """Return the commit that a revision, or a DVC experiment's name, stands for.

    Raises:
        StageError: if the study is in no git repository, or has no such revision
    """
    top = Path(git(study, "rev-parse", "--show-toplevel").strip())
    prefix = git(study, "rev-parse", "--show-prefix").strip()
    refs = git(study, "for-each-ref", "--format=%(refname)", "refs/exps").split()
    experiment = next((ref for ref in refs if ref.endswith(f"/{revision}")), "")
    sha = ""
    for name in filter(None, (revision, experiment)):
        try:
            sha = git(
                study, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}"
            ).strip()
            break
        except StageError:
            continue
    if not sha:
        raise StageError(
            f"there is no commit, branch, tag or experiment {revision!r}; "
            "git log --oneline and dvc exp list show those that there are"
        )
    date = git(study, "show", "-s", "--format=%cI", sha).strip()
    is_dirty = bool(git(study, "status", "--porcelain", "--", ".").strip())
    return Commit(top, prefix, revision, sha, date, is_dirty)
