"""Downloads that survive interruptions, are verified, and never look finished early.

A file grows under a temporary name in a folder that outlives the attempt, goes
on where it stopped, and takes its final name only when its size, its digest and
its kind are right.
"""

import email.utils
import hashlib
import http.client
import json
import logging
import os
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from rehear import atomic, contents, kinds, published
from rehear.disk import place, require_space, size_of, writing
from rehear.errors import DataError
from rehear.halt import Halt
from rehear.published import CHECKSUMS, Known, Remote, recorded

__all__ = ["CHECKSUMS", "download", "obtain", "recorded"]

PAUSES = (1.0, 3.0, 9.0)  # seconds between tries that bring no new byte
PATIENCE = 120.0  # most seconds that are waited when a server asks to
TIMEOUT = 60.0  # seconds without a byte after which a connection is given up
_TRIES = 50  # in all, for servers that always cut at the same place
_CHUNK = 1 << 20
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
_SAFE = "%/:?#[]@!$&'()*+,;=~"  # what an address may hold unescaped
_OUT_OF_RANGE = 416
_LISTED = (".zip", ".tar")  # archives that say where they end
_WHOLE, _LATER, _PARTIAL = 200, 202, 206
logger = logging.getLogger(__name__)


def download(
    url: str,
    target: Path,
    *,
    downloads: Path,
    size: int | None = None,
    md5: str | None = None,
    sha256: str | None = None,
) -> Path:
    """Fetch ``url`` and verify it.

    The verified file stays in ``downloads`` as well, as a hard link where the
    file system allows, so that a later failure of the same stage does not fetch
    it again. Whoever calls removes that folder in the end.

    Args:
        url: ``http``, ``https`` or ``file``
        target: final path; its ending says which kind of file is expected
        downloads: folder for partial files and ``checksums.json``
        size: published size in bytes
        md5: published digest
        sha256: published digest; without one, that of the first download is
            recorded in ``checksums.json`` and enforced later

    Returns:
        ``target``

    Raises:
        DataError: if the file cannot be fetched, the disk is full, or what comes
            is not what was expected; a bad file is removed
    """
    remote = Remote(target.name, url, size, md5, sha256)
    place(obtain(remote, downloads=downloads), target)
    return target


def obtain(
    remote: Remote,
    *,
    downloads: Path,
    address: str = "",
    halt: Halt | None = None,
    slot: int = 0,
) -> Path:
    """Fetch and verify a published file; return its path in ``downloads``.

    Args:
        remote: the file
        downloads: folder for partial files and ``checksums.json``
        address: another place of the same file
        halt: ends the download from another thread
        slot: line of the progress bar

    Raises:
        DataError: as ``download`` does
        Halted: if ``halt`` was set
    """
    address = address or remote.url
    table = downloads / CHECKSUMS
    known = published.known(remote, table)
    done, part = stored(address, downloads)
    with published.downloading(), writing(downloads):
        downloads.mkdir(parents=True, exist_ok=True)
        if not done.exists():
            _Transfer(address, remote.name, part, known, halt or Halt(), slot).receive()
            with part.open("rb+") as stream:
                os.fsync(stream.fileno())
            part.replace(done)
        found = _checked(done, known, address, remote)
        published.leave_unchecked(done, remote)
        if remote.sha256 is None or remote.sha256.lower() != found.sha256:
            published.record(table, remote.url, found)
    return done


def stored(address: str, downloads: Path) -> tuple[Path, Path]:
    """Return where a file is when it is complete, and where until then."""
    key = hashlib.sha256(address.encode()).hexdigest()[:20]
    return downloads / f"{key}.done", downloads / f"{key}.part"


def request(address: str, **options: Any) -> urllib.request.Request:
    """Return a request for the bytes as they are stored.

    Args:
        address: characters that an address cannot have are escaped
        options: of ``urllib.request.Request``

    Raises:
        DataError: if it is no address of a kind that can be fetched
    """
    try:
        scheme = urlsplit(address).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https", "file"):
        raise DataError(
            f"{address}: cannot be fetched; expected http, https or file, as in "
            "file:///mnt/archives"
        )
    headers = {"User-Agent": "rehear", "Accept-Encoding": "identity"}
    return urllib.request.Request(quote(address, _SAFE), headers=headers, **options)


class _Interrupted(Exception):  # noqa: N818 - not an error until it is too much
    """A connection ended early, or a server asks to come again in a while."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass
class _Transfer:
    """One file on its way.

    Attributes:
        address: where it is
        name: of the file, for messages
        part: where it grows
        known: what it has to be
        halt: ends it
        slot: line of the progress bar
    """

    address: str
    name: str
    part: Path
    known: Known
    halt: Halt
    slot: int

    def receive(self) -> None:
        """Bring the part to its full length, in as many tries as are worth it."""
        failures = 0
        for _ in range(_TRIES):
            before = size_of(self.part)
            try:
                return self._try()
            except _Interrupted as error:
                reason, wait = str(error), min(error.wait, PATIENCE)
            failures = 0 if size_of(self.part) > before else failures + 1
            if failures > len(PAUSES):
                break
            if wait:
                text = "fetch: %s: %s; it asks to wait %.0f s"
                say(text, self.name, reason, wait)
            self.halt.wait(max(wait, PAUSES[failures - 1] if failures else 0.0))
        raise DataError(
            f"{self.address}: cannot be fetched ({reason}); {size_of(self.part):,} "
            "bytes are kept: check the network and run it again to go on"
        )

    def _try(self) -> None:
        have = size_of(self.part)
        wanted = self._request(have)
        try:
            with (
                urllib.request.urlopen(wanted, timeout=TIMEOUT) as response,
                self.halt.watching(response),
                writing(self.part.parent),
            ):
                self._save(response, have)
        except urllib.error.HTTPError as error:
            error.close()
            self.halt.check()
            if error.code == _OUT_OF_RANGE and have:
                if error.headers.get("Content-Range") == f"bytes */{have}":
                    return  # it was complete already
                self._start_again()
            self._refused(error)
        except (OSError, http.client.HTTPException) as error:
            self.halt.check()
            self._failed(error)

    def _refused(self, error: urllib.error.HTTPError) -> NoReturn:
        if error.code in _TEMPORARY:
            wait = _asked_to_wait(error.headers)
            raise _Interrupted(f"{error.code} {error.reason}", wait) from None
        raise DataError(
            f"{self.address}: the server answers {error.code} {error.reason}; check "
            "the address; dataset.mirror names another place of a data set"
        ) from None

    def _failed(self, error: Exception) -> NoReturn:
        reason = getattr(error, "reason", None) or error
        if isinstance(
            reason, ssl.SSLCertVerificationError | http.client.InvalidURL
        ) or self.address.startswith("file:"):
            raise DataError(
                f"{self.address}: cannot be fetched ({reason}); check the address"
            ) from None
        raise _Interrupted(str(reason) or type(reason).__name__) from None

    def _request(self, have: int) -> urllib.request.Request:
        """Ask for the rest of the file, if it is sure to be of the same file."""
        wanted = request(self.address)
        validator = self._validator()
        # Without one, a digest tells in the end whether the file is of one piece.
        digest = self.known.stable and (self.known.sha256 or self.known.md5)
        if have and (validator or digest):
            wanted.add_header("Range", f"bytes={have}-")
            if validator:
                wanted.add_header("If-Range", validator)
        return wanted

    def _validator(self) -> str:
        notes = self.part.with_suffix(".json")
        return json.loads(notes.read_text("utf-8")) if notes.exists() else ""

    def _start_again(self) -> NoReturn:
        self.part.unlink(missing_ok=True)
        raise _Interrupted("the file has changed")

    def _save(self, response: Any, have: int) -> None:
        headers = response.headers
        self._check_status(response)
        kinds.check_type(self.address, self.name, headers.get("Content-Type", ""))
        start = self._offset(response, have)
        length = headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        if total is not None and self.known.stable:
            self._check_size(total)
        require_space(self.part.parent, (total or 0) - start, self.address)
        if not start:
            # The old part goes first: it must not be taken for one of this file.
            self.part.unlink(missing_ok=True)
            atomic.write_json(self.part.with_suffix(".json"), _version(headers))
        bar = _bar(self.name, total, start, self.slot)
        with self.part.open("ab") as out, bar:
            while block := response.read1(_CHUNK):
                out.write(block)
                bar.update(len(block))
                self.halt.check()
        self.halt.check()
        if total is not None and size_of(self.part) < total:
            raise _Interrupted(
                f"connection lost after {size_of(self.part):,} of {total:,} bytes"
            )

    def _check_status(self, response: Any) -> None:
        """Refuse answers that are no error, but not the file either."""
        status, reason = response.status, getattr(response, "reason", "")
        if status == _LATER:
            wait = _asked_to_wait(response.headers)
            raise _Interrupted(f"{status} {reason}, so not ready yet", wait)
        if status not in (None, _WHOLE, _PARTIAL):  # files have none
            raise DataError(
                f"{self.address}: the server answers {status} {reason}, expected "
                f"{_WHOLE} and the file; check the address; dataset.mirror names "
                "another place of a data set"
            )

    def _check_size(self, total: int) -> None:
        if difference := published.wrong_size(total, self.known):
            self.part.unlink(missing_ok=True)
            published.refuse(self.address, difference)

    def _offset(self, response: Any, have: int) -> int:
        """Return where the sent bytes begin; a server may ignore what was asked."""
        if response.status != _PARTIAL:
            return 0
        first = response.headers.get("Content-Range", "").partition("bytes ")[2]
        if first.partition("-")[0] != str(have):
            raise _Interrupted("the server sends another range than was asked for")
        validator = self._validator()
        field = "ETag" if validator.startswith('"') else "Last-Modified"
        if validator and response.headers.get(field, validator) != validator:
            self._start_again()  # the server passes over If-Range
        return have


def say(text: str, *values: object) -> None:
    """Log a line from any thread, above the progress bars."""
    from tqdm import tqdm

    with tqdm.external_write_mode():
        logger.info(text, *values)


def _check_whole(done: Path, address: str, name: str) -> None:
    """Look for the end of an archive, where nothing is known of its size.

    Where a server does not tell the length either, the end of the connection is
    the only sign of the end of the file.
    """
    kind = Path(name).suffix.lower()
    if kind not in _LISTED:
        return
    try:
        contents.read(str(done), kind=kind)
    except DataError as error:
        reason = str(error).partition(": ")[2]
        raise DataError(f"{address}: cut short, or damaged: {reason}") from None


def _bar(name: str, total: int | None, start: int, slot: int) -> Any:
    from tqdm import tqdm

    # Its monitor is a thread, and recordings are read by forked processes later.
    tqdm.monitor_interval = 0
    return tqdm(
        desc=name,
        total=total,
        initial=start,
        position=slot,
        leave=False,
        unit="B",
        unit_scale=True,
        disable=None,
    )


def _version(headers: Message) -> str:
    """Return what tells one version of the file from another, or nothing."""
    etag = headers.get("ETag", "")
    strong = etag if etag.startswith('"') else ""
    return strong or headers.get("Last-Modified", "")


def _asked_to_wait(headers: Message) -> float:
    """Return the seconds of ``Retry-After``, which may be a date (RFC 9110)."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, date.timestamp() - time.time())


def _checked(done: Path, known: Known, address: str, remote: Remote) -> Known:
    """Return size and digest of a file that is the right one; remove any other."""
    try:
        with done.open("rb") as stream:
            kinds.check(address, remote.name, stream.read(kinds.HEAD))
        if size_of(done) == 0 != remote.size:
            raise DataError(
                f"{address}: the file is empty (0 bytes); run it again, and if it "
                "stays so, name another place in dataset.mirror"
            )
        if (known.size, known.md5, known.sha256) == (None, None, None):
            _check_whole(done, address, remote.name)
        return published.verify(done, known, url=address)
    except DataError:
        done.unlink(missing_ok=True)
        done.with_suffix(".json").unlink(missing_ok=True)
        raise
