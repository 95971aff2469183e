"""Databases of audb repositories, by name and version."""

import contextlib
import hashlib
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rehear import atomic
from rehear.datasets import audformat, audtables
from rehear.datasets.matching import some
from rehear.errors import DataError, ParamsError, suggest
from rehear.manifest import Manifest

ARCHIVE = "media.tar"
DATABASES = "https://audeering.github.io/datasets"
BACKENDS = {"file": "file-system", "s3": "s3", "minio": "minio"}
_REPOSITORY = re.compile(r"([a-z0-9]+)://(.+)/([^/]+)")
_WORKERS = 8  # files that are loaded at a time
_CHUNK = 1 << 20


class Audb:
    """A database of an audb repository, such as those of audEERING.

    The tables and the recordings that they need are loaded, unchanged, and
    packed into one archive. What the tables hold, and which columns are wanted,
    is told as for ``audformat``. Title, citation and licence are those in the
    header. A version never changes, and the MD5 of every recording is checked
    against the one published.

    Source: https://audeering.github.io/audb; public databases:
    https://audeering.github.io/datasets. Needs ``rehear[audb]``.

    Args:
        database: its name, as ``emodb``
        version: of the database, as ``1.4.1``; has to be given
        repository: where it is, as ``file:///srv/audb/data-local`` or
            ``s3://<host>/<name>``; those of the user's configuration of audb, if
            not given: the public one of audEERING
        media: regular expression for the files that are wanted; all, if not given
        tables: that hold the labels or targets; all, if not given
        columns: which columns or schemes hold what, as
            ``{label: emotion, group: speaker}``; there may be ``label``,
            ``split`` (``''`` to draw one), ``fold`` and ``group``
        targets: columns or schemes with the numbers to predict, for regression
        attributes: columns or schemes with what else is known (gender, device),
            for the card of the data set
    """

    title = "audb database"
    citation = ""
    licence = ""
    url = ""
    tasks = ("classification", "tagging", "regression")
    needs_source = False
    published = True
    size = ""
    folds: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        database: str = "",
        version: str = "",
        repository: str = "",
        media: str = "",
        tables: Sequence[str] = (),
        columns: Mapping[str, Any] | None = None,
        targets: Sequence[str] = (),
        attributes: Sequence[str] = (),
    ) -> None:
        self.database, self.version = database, version
        self.repository = _parsed(repository)
        try:
            self.media = re.compile(media)
        except re.error as error:
            raise ParamsError(
                f"dataset.media: '{media}' is no regular expression: {error}"
            ) from None
        self.wanted = audtables.choice(tables, columns, targets, attributes)

    def fetch(self, raw: Path, *, task: str, source: Path, downloads: Path) -> Manifest:
        """Load the database, and pack its recordings.

        Args:
            raw: gets the archive
            task: ``classification``, ``tagging`` or ``regression``
            source: not used
            downloads: keeps what was loaded, between tries

        Raises:
            ParamsError: if the library is missing, or database, version or a
                column is not named
            DataError: if there is no such database or version, its repository is
                not reached, or it lacks what is named
        """
        audb = _library()
        _check_named(self.database)
        with _repositories(audb, self.repository):
            _check_there(audb, self.database, self.version)
            try:
                return self._loaded(audb, raw, downloads / "audb", task)
            except _failures() as error:
                reason = " ".join(str(error).split())
                raise DataError(
                    f"audb: {self.database} {self.version} could not be loaded "
                    f"({type(error).__name__}: {reason}); run it again, what was "
                    "loaded is kept"
                ) from None

    def _loaded(self, audb: Any, raw: Path, cache: Path, task: str) -> Manifest:
        given = {"version": self.version, "cache_root": str(cache)}
        loading = {**given, "num_workers": _WORKERS, "verbose": False}
        database = audb.load(
            self.database,
            only_metadata=True,
            full_path=False,
            pickle_tables=False,
            **loading,
        )
        self.title, self.citation, self.licence, self.url = audformat.about(database)
        self.title += f" {self.version}"
        found = self._chosen(audtables.read(database, self.wanted, task=task))
        files = sorted({clip.file for clip in found})
        paths = map(Path, audb.load_media(self.database, files, **loading))
        published = audb.dependencies(self.database, **given)
        members = list(zip(files, paths, strict=True))
        for file, path in members:
            _check_digest(path, published.checksum(file), cache)
        _pack(raw / ARCHIVE, members)
        return audtables.located(found, raw)

    def _chosen(self, found: Manifest) -> Manifest:
        clips = tuple(clip for clip in found if self.media.search(clip.file))
        if not clips:
            raise DataError(
                f"dataset.media: '{self.media.pattern}' finds none of {len(found)} "
                f"files with labels, as '{found.clips[0].file}'; correct the expression"
            )
        return replace(found, clips=clips)


def _library() -> Any:
    audformat.library()
    try:
        import audb
    except ImportError as error:
        raise ParamsError(
            f"data set 'audb' needs a library that is not here ({error}); run "
            "`pip install 'rehear[audb]'`"
        ) from None
    return audb


def _failures() -> tuple[type[Exception], ...]:
    """Return what the library raises, but for mistakes in its own code."""
    from audbackend import BackendError

    return (BackendError, OSError, RuntimeError, ValueError)


def _parsed(repository: str) -> tuple[str, str, str] | None:
    """Return name, host and backend; nothing for those of the configuration."""
    if not repository:
        return None
    parts = _REPOSITORY.fullmatch(repository.rstrip("/"))
    if parts is None or parts[1] not in BACKENDS:
        raise ParamsError(
            f"dataset.repository: '{repository}' is none; expected "
            "file:///<folder>/<name>, s3://<host>/<name> or minio://<host>/<name>"
        )
    return parts[3], parts[2], BACKENDS[parts[1]]


@contextlib.contextmanager
def _repositories(audb: Any, given: tuple[str, str, str] | None) -> Iterator[None]:
    """Let the library look into one repository only, without a trace in files."""
    before = audb.config.REPOSITORIES
    if given:
        audb.config.REPOSITORIES = [audb.Repository(*given)]
    try:
        yield
    finally:
        audb.config.REPOSITORIES = before


def _check_named(database: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", database):
        raise ParamsError(
            f"dataset.database: '{database}' names none; set it to one of "
            f"{DATABASES}, or of your own repository"
        )


def _check_there(audb: Any, database: str, version: str) -> None:
    """Check that there is such a version, and that its header is safe to read."""
    versions: list[str] = []
    silent = []
    for repository in audb.config.REPOSITORIES:
        try:
            interface = repository.create_backend_interface()
            with interface.backend, tempfile.TemporaryDirectory() as folder:
                header = interface.join("/", database, audformat.HEADER)
                found = interface.versions(header, suppress_backend_errors=True)
                versions += found
                if version in found:
                    copy = Path(folder, audformat.HEADER)
                    interface.get_file(header, str(copy), version)
                    audformat.check_header(copy)
                    return
        except _failures():
            silent.append(f"{repository.name} on {repository.host}")
    unreached = f"no answer from {', '.join(silent)}" if silent else ""
    if not versions and not unreached:
        known = _databases(audb)
        raise DataError(
            f"audb: no database '{database}'.{suggest(database, known)} There are: "
            f"{some(known)}; see {DATABASES}"
        )
    if not version:
        latest = f"the latest of '{database}' is {versions[-1]}" if versions else ""
        raise ParamsError(
            "dataset.version: has to be set, so that the data stay the same; "
            f"{latest or f'{unreached}, see {DATABASES}'}"
        )
    if not versions:
        raise DataError(
            f"audb: {unreached}, where '{database}' is looked for; check the network, "
            "or set dataset.repository"
        )
    raise DataError(
        f"audb: '{database}' has no version '{version}'."
        f"{suggest(version, versions)} There are: {', '.join(versions)}"
    )


def _databases(audb: Any) -> list[str]:
    try:
        return sorted(set(audb.available(only_latest=True).index))
    except _failures():
        return []


def _check_digest(path: Path, published: str, cache: Path) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
    if digest.hexdigest() != published:
        # The library takes what is in its cache as it is.
        shutil.rmtree(cache)
        raise DataError(
            f"audb: '{path.name}' has MD5 {digest.hexdigest()}, expected {published} "
            "as published; what was loaded has been removed: run it again"
        )


def _pack(archive: Path, members: Sequence[tuple[str, Path]]) -> None:
    """Write a tar file whose bytes depend on names and contents only."""
    with (
        atomic.file(archive) as target,
        tarfile.open(fileobj=target, mode="w") as tar,
    ):
        for name, path in members:
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            with path.open("rb") as stream:
                tar.addfile(entry, stream)
