"""Every error that a user can mend.

The tree::

    RehearError
    ├── ParamsError     params.yaml: a key, a value, a part's name or argument
    ├── DataError       a manifest, a data set, a download, a feature store
    │   ├── AudioError  one recording that cannot be used
    │   └── DownloadError  a published file that cannot be had
    ├── ModelError      a model, a checkpoint, weights that do not fit
    └── StageError      the pipeline: workspace, git, DVC, an interrupted stage

Their text is one line that says what is wrong, where, what was expected and
what to do. The command line prints it without a traceback.
"""

import difflib
from collections.abc import Iterable


class RehearError(Exception):
    """An error with a cause that the user can mend."""


class ParamsError(RehearError):
    """A key, value, part or argument in ``params.yaml`` is not usable.

    Args:
        problem: what is wrong
        key: where in ``params.yaml``, as far as it is known: ``parts.1``
    """

    def __init__(self, problem: str, *, key: str = "") -> None:
        super().__init__(f"{key}: {problem}" if key else problem)
        self.problem, self.key = problem, key

    def within(self, key: str) -> "ParamsError":
        """Return the same error as seen from one level further out.

        Example:
            >>> str(ParamsError("unknown part", key="parts.1").within("augment.0"))
            'augment.0.parts.1: unknown part'
        """
        return ParamsError(self.problem, key=f"{key}.{self.key}" if self.key else key)


class DataError(RehearError):
    """A data set, manifest, download or feature store is not usable."""


class AudioError(DataError):
    """A recording cannot be read, or holds nothing that can be used."""


class DownloadError(DataError):
    """A published file cannot be had, or another one than was expected came."""


class ModelError(RehearError):
    """A model or checkpoint cannot be built, loaded or trained."""


class StageError(RehearError):
    """A stage cannot run in this workspace as it is."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for a likely misspelling, else ``""``.

    Example:
        >>> suggest("log_mell", ["log_mel", "mono"])
        " Did you mean 'log_mel'?"
    """
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
