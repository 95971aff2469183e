"""A commit of a study, run again in a folder and an environment of its own."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import rehear
from rehear import commits, comparison, processes
from rehear.commits import Commit, git
from rehear.errors import StageError

ENVIRONMENTS = ("lock", "current")
REQUIREMENTS = "requirements.lock"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Programs:
    """What the stages run with.

    Attributes:
        python: the interpreter
        folders: found first for programs such as ``rehear``
    """

    python: Path
    folders: tuple[Path, ...]

    def variables(self) -> dict[str, str]:
        """Return the environment of the stages."""
        path = [*map(str, self.folders), os.environ.get("PATH", "")]
        kept = {k: v for k, v in os.environ.items() if k not in commits.LEFT_BEHIND}
        return {**kept, "PATH": os.pathsep.join(path), "DVC_NO_ANALYTICS": "true"}


class Reproduction:
    """A clone of a commit in a temporary folder, and what is done with it.

    Args:
        study: root of the original study
        commit: what to run again
        folder: an empty folder for everything that is made
        log: file for the output of all programs
        say: told of each step
    """

    def __init__(
        self, study: Path, commit: Commit, *, folder: Path, log: Path, say: Say
    ) -> None:
        self.original = study
        self.commit = commit
        self.study = folder / "clone" / commit.prefix
        self.committed = folder / "committed"
        self.log = log
        self.say = say
        self._folder = folder
        self._clone = folder / "clone"

    def clone(self) -> None:
        """Get the commit, and nothing else of the repository.

        Raises:
            StageError: if git fails
        """
        self.say(f"clone {self.commit.sha[:12]}")
        self._clone.mkdir()
        self._git("init", "-q")
        # a path would be linked with the original instead of copied
        url = self.commit.repository.as_uri()
        # version 2 also gives commits that no branch holds, as of experiments
        fetch = ("-c", "protocol.version=2", "fetch", "-q", "--depth=1", url)
        self._git(*fetch, self.commit.sha)
        self._git("checkout", "-q", "--detach", self.commit.sha)

    def _git(self, *arguments: str) -> None:
        git(self._clone, *arguments)

    def set_aside(self) -> dict[str, comparison.Stage]:
        """Move the committed results away; return the stages of dvc.lock.

        Raises:
            StageError: if the commit has no usable dvc.lock
        """
        stages = comparison.read_lock(self.study / comparison.LOCK)
        outs = [out for stage in stages.values() for out in stage.outs]
        for name in (comparison.LOCK, *outs):
            # In a clone these are the outputs that git tracks.
            if (self.study / name).exists():
                target = self.committed / name
                target.parent.mkdir(parents=True, exist_ok=True)
                (self.study / name).rename(target)
        return stages

    def prepare_data(self) -> None:
        """Give the clone an empty DVC cache, and the data under ``.dvc`` files.

        That is the researcher's own data, which no stage can make: it comes
        from the study's remote, or else from the original's cache.

        Raises:
            StageError: if neither has it
        """
        files = git(self._clone, "ls-files", "-z", "--", "*.dvc").split("\0")[:-1]
        files = [file for file in files if not file.startswith(".dvc/")]
        self._use_empty_cache(with_remotes=bool(files))
        if not files:
            return
        self.say(f"get the data of {', '.join(files)}")
        pull = processes.dvc("pull", *files)
        if self._logged(pull, cwd=self._clone)[0]:
            cache = self.original_cache()
            name = "rehear-original"
            self._dvc("remote", "add", "--local", "-f", name, str(cache))
            self.say(f"the remote has it not; take it from {cache}")
            pull = processes.dvc("pull", "--remote", name, *files)
            code, tail = self._logged(pull, cwd=self._clone)
            if code:
                raise StageError(
                    f"the data of {', '.join(files)} is neither in the DVC remote "
                    f"nor in {cache} ({processes.reason(chr(10).join(tail))}); "
                    "run dvc push where it is"
                )

    def _use_empty_cache(self, *, with_remotes: bool) -> None:
        cache = self._folder / "cache"
        original = self.original_dvc() / "config.local"
        local = self._clone_dvc() / "config.local"
        if with_remotes and original.is_file():  # may hold credentials
            shutil.copy(original, local)
            self._dvc("config", "--local", "cache.dir", str(cache))
        else:
            local.write_text(f"[cache]\n    dir = {cache}\n", encoding="utf-8")

    def original_dvc(self) -> Path:
        """Return the original's ``.dvc`` folder, the study's or one above."""
        for folder in (self.original, *self.original.parents):
            if (folder / ".dvc").is_dir():
                return folder / ".dvc"
        raise StageError(f"{self.original} has no .dvc folder; run dvc init there")

    def _clone_dvc(self) -> Path:
        top = self.original_dvc().relative_to(self.commit.repository)
        return self._clone / top

    def original_cache(self) -> Path:
        """Return the folder of the original's DVC cache."""
        answer = processes.ask(processes.dvc("cache", "dir"), self.original)
        return Path(answer.splitlines()[-1])

    def _dvc(self, *arguments: str) -> None:
        processes.ask(processes.dvc(*arguments), self.study)

    def make_environment(self, kind: str) -> Programs:
        """Return the programs to run the stages with.

        Args:
            kind: ``lock`` installs the commit's requirements.lock, and the
                toolkit that the study pins, into a new environment;
                ``current`` uses the one that runs now

        Raises:
            StageError: if there is no lock, or installing fails
        """
        if kind == "lock":
            python = self._install()
        elif kind == "current":
            python = Path(sys.executable)
        else:
            raise StageError(f"env: expected lock or current, found {kind!r}")
        folders = [python.parent]
        own = self.study / "src"
        if (own / "rehear" / "__init__.py").is_file():
            folders.insert(0, self._launcher(python, own))
        elif kind == "current":
            source = Path(rehear.__file__).resolve().parents[1]
            folders.insert(0, self._launcher(python, source))
        return Programs(python, tuple(folders))

    def _install(self) -> Path:
        lock = self.study / REQUIREMENTS
        if not lock.is_file():
            raise StageError(
                f"commit {self.commit.sha[:12]} has no {REQUIREMENTS} to make the "
                "environment from; use --env current"
            )
        target = self._folder / "environment"
        windows = sys.platform == "win32"
        python = target / ("Scripts/python.exe" if windows else "bin/python")
        wheels = sorted((self.study / "vendor").glob("*.whl"))
        self.say(f"install {REQUIREMENTS}")
        for command in _installation(target, python, self.study, wheels):
            code, tail = self._logged(command, cwd=self.study)
            if code:
                raise StageError(
                    f"the locked environment cannot be installed: "
                    f"{processes.reason(chr(10).join(tail))}; see {self.log}, or use "
                    "--env current"
                )
        return python

    def _launcher(self, python: Path, source: Path) -> Path:
        """Write a program ``rehear`` that runs the package in ``source``."""
        folder = self._folder / "bin"
        folder.mkdir()
        start = folder / "launch.py"
        start.write_text(
            f"import sys\nsys.path[0] = {str(source)!r}\n"
            "from rehear.cli import script\nscript()\n",
            encoding="utf-8",
        )
        if sys.platform == "win32":
            (folder / "rehear.cmd").write_text(f'@"{python}" "{start}" %*\r\n')
        else:
            program = folder / "rehear"
            command = shlex.join(map(str, (python, start)))
            program.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
            program.chmod(0o755)
        return folder

    def run(self, programs: Programs, stages: int) -> None:
        """Run ``dvc repro``.

        Args:
            programs: what to run with
            stages: how many there are, for the progress shown

        Raises:
            StageError: if it fails, with the last lines
        """
        seen = 0

        def progress(line: str) -> None:
            nonlocal seen
            if line.startswith("Running stage "):
                seen += 1
                self.say(f"[{seen}/{stages}] {line.split(chr(39))[1]}")

        code, tail = self._logged(
            processes.dvc("repro", python=programs.python),
            cwd=self.study,
            variables=programs.variables(),
            on_line=progress,
        )
        if code:
            self.say("last lines:")
            for line in tail:
                self.say(f"  {line}")
            raise StageError(
                f"dvc repro fails in the clone: "
                f"{processes.reason(chr(10).join(tail))}; all output: {self.log}"
            )

    def _logged(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        variables: Mapping[str, str] | None = None,
        on_line: Say = lambda line: None,
    ) -> tuple[int, list[str]]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as stream:

            def write(line: str) -> None:
                stream.write(line + "\n")
                on_line(line)

            write(f"$ {shlex.join(map(str, command))}")
            if variables is None:
                variables = Programs(Path(sys.executable), ()).variables()
            return processes.follow(
                command, cwd=cwd, variables=variables, on_line=write
            )

    def cached(self, value: str) -> dict[str, Path]:
        """Return the files of an output in the original's cache, if they are there.

        Args:
            value: DVC's hash of the output

        Returns:
            path of each file by its name in the output; the name is empty if
            the output is a single file
        """
        if not hasattr(self, "_cache"):
            self._cache = self.original_cache()
        file = self._cache / "files" / "md5" / value[:2] / value[2:]
        if not file.is_file():
            return {}
        if not value.endswith(".dir"):
            return {"": file}
        entries = json.loads(file.read_text(encoding="utf-8"))
        found = {
            entry["relpath"]: self._cache.joinpath(
                "files", "md5", entry["md5"][:2], entry["md5"][2:]
            )
            for entry in entries
        }
        return {name: path for name, path in found.items() if path.is_file()}


def _installation(
    target: Path, python: Path, study: Path, wheels: Sequence[Path]
) -> list[list[str | Path]]:
    """Return the commands that make an environment from the lock."""
    commands: list[list[str | Path]]
    pip: list[str | Path]
    if shutil.which("uv"):
        # .python-version, where a study has one, is uv's to read
        is_pinned = (study / ".python-version").is_file()
        chosen = [] if is_pinned else ["--python", sys.executable]
        commands = [["uv", "venv", *chosen, target]]
        pip = ["uv", "pip", "install", "--python", python]
    else:
        commands = [[sys.executable, "-m", "venv", target]]
        pip = [python, "-m", "pip", "install"]
    commands.append([*pip, "--require-hashes", "-r", REQUIREMENTS])
    if wheels:
        commands.append([*pip, "--no-deps", *wheels])
    return commands
