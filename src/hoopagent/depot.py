"""The object store that recordings go to: S3, GCS, Azure or a folder, through obstore.

A recording becomes one object, byte for byte, so that ``hoop verify`` reads what anybody takes out
of a bucket by hand; a large one becomes several, which put together are the recording.  Each is
created only where there is none of that name, and is read back before it counts as there.  An
object of that name that is another recording is never touched.

Everything here blocks: use a thread.  What a library says of a failure may hold a signed URL, so
only its kind and the server's status are told.  The library is loaded where there is an archive.

Order of the file: what it is told, putting in, reading back, taking out.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from hoopagent.config import ArchiveSection
from hoopagent.secrets import SecretUnread, read_secret
from hoopagent.store import Part

T = TypeVar("T")

# An object is created as a whole, since only that can be conditional, so it is held in memory.
PART = 16 << 20
_PIECE = 1 << 20
# One request of 16 MiB at 100 KiB/s; whatever fails is tried again later by whoever asked.
_LIMIT = timedelta(seconds=160)
_CONNECT = timedelta(seconds=5)
_RETRY = {"max_retries": 2, "retry_timeout": timedelta(seconds=15)}


class DepotAway(Exception):
    """It cannot be done now.  The text says why, without a URL or a secret."""


class DepotStuck(DepotAway):
    """This recording can go no further, others can: what is there, or here, is not what it was."""


@dataclass(frozen=True, slots=True)
class Deposit:
    """One recording, put in and read back."""

    parts: tuple[Part, ...]
    size: int
    sha256: str


@dataclass(slots=True)
class Depot:
    """``deposit``, ``verify``, ``fetch`` and ``delete``; each raises DepotAway."""

    settings: ArchiveSection
    folder: Path  # that secrets' references are counted from
    _store: Any = field(default=None, repr=False)

    @property
    def place(self) -> str:
        return self.settings.url

    # --- putting in -------------------------------------------------------------------------------

    def deposit(self, path: Path, name: str) -> Deposit:
        """The file at ``path``; done again, or by another agent, it comes to the same."""
        whole, size = hashlib.sha256(), 0
        parts: list[Part] = []
        try:
            with path.open("rb") as file:
                several = os.fstat(file.fileno()).st_size > PART
                while data := file.read(PART):
                    whole.update(data)
                    size += len(data)
                    called = f"{name}.{len(parts) + 1:05}" if several else name
                    part = Part(called, len(data), hashlib.sha256(data).hexdigest())
                    self._create(part, data)
                    parts.append(part)
        except OSError as problem:
            raise DepotStuck(f"the recording cannot be read: {problem.strerror}") from problem
        if not parts:
            raise DepotStuck("the recording is empty")
        deposit = Deposit(tuple(parts), size, whole.hexdigest())
        self.verify(deposit.parts)
        return deposit

    def _create(self, part: Part, data: bytes) -> None:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        def put() -> None:
            try:
                obstore.put(self._open(), part.name, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                self.verify([part])  # an earlier attempt that died, or somebody else's object
            except FileNotFoundError as problem:  # of the bucket
                raise DepotAway(_status(problem)) from problem
            else:
                self._settle(part.name)

        self._asked(put)

    def _settle(self, name: str) -> None:
        """In a folder of ours, on its disk, with every folder above that may be new."""
        root = self._root()
        if root is None:
            return
        path = root / name
        for one in (path, *path.parents):
            handle = os.open(one, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            if one == root:
                return

    # --- reading back -----------------------------------------------------------------------------

    def verify(self, parts: Iterable[Part]) -> None:
        """Reads all of it: DepotStuck where a byte is another one, or an object is not there."""
        for part in parts:
            for _ in self._read(part):
                pass

    def _read(self, part: Part) -> Iterator[bytes]:
        """The bytes of one object; DepotStuck behind the last where they are not those put in."""
        import obstore

        digest, size = hashlib.sha256(), 0
        stream = self._asked(lambda: iter(obstore.get(self._open(), part.name).stream(_PIECE)))
        while (piece := self._asked(lambda: next(stream, None))) is not None:
            digest.update(piece)
            size += len(piece)
            if size > part.size:
                break
            yield bytes(piece)
        if (size, digest.hexdigest()) != (part.size, part.sha256):
            raise DepotStuck(f"the object {part.name} holds something else")

    # --- taking out -------------------------------------------------------------------------------

    def fetch(self, parts: Iterable[Part], to: Path) -> None:
        """Into a new file, which is not there afterwards where anything is wrong."""
        fd = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                for part in parts:
                    for piece in self._read(part):
                        file.write(piece)
        except BaseException as problem:
            to.unlink(missing_ok=True)
            if isinstance(problem, OSError):
                raise DepotAway(f"there is no room for it here: {problem.strerror}") from problem
            raise

    def delete(self, parts: Iterable[Part]) -> None:
        """Those that are still there."""
        for part in parts:
            self._asked(partial(self._delete, part.name))

    def _delete(self, name: str) -> None:
        import obstore

        try:
            obstore.delete(self._open(), name)
        except FileNotFoundError:
            # That of an object; that of a whole folder or bucket is no deletion.
            if (root := self._root()) is not None and not root.is_dir():
                raise

    # --- asking -----------------------------------------------------------------------------------

    def _root(self) -> Path | None:
        """The folder, where it is one."""
        parts = urlsplit(self.settings.url)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None

    def _open(self) -> Any:
        if self._store is None:
            self._store = opened(self.settings, self.folder)
        return self._store

    def _asked(self, work: Callable[[], T]) -> T:
        from obstore.exceptions import BaseError

        try:
            return work()
        except DepotAway:
            raise
        except FileNotFoundError as problem:
            self._store = None
            raise DepotStuck(f"an object is not there: {_status(problem)}") from problem
        except (BaseError, SecretUnread, OSError, ValueError) as problem:
            self._store = None  # secrets may have changed: they are read again
            raise DepotAway(_status(problem)) from problem


def opened(settings: ArchiveSection, folder: Path) -> Any:
    """The store of obstore; nothing is sent yet.  BaseError, SecretUnread, ValueError, OSError."""
    from obstore import store

    make: Any = store.from_url  # its settings have names and types by kind of store
    if urlsplit(settings.url).scheme == "file":
        return make(settings.url)
    config: dict[str, Any] = dict(settings.options)
    for key, reference in settings.secrets.items():
        config[key] = read_secret(reference, folder)
    client: dict[str, Any] = {"timeout": _LIMIT, "connect_timeout": _CONNECT}
    client["allow_http"] = _plain(settings.options)
    if settings.ca_file is not None:
        client["root_certificate"] = (folder / settings.ca_file).read_bytes()
    return make(settings.url, client_options=client, retry_config=_RETRY, **config)


def _plain(options: Mapping[str, str]) -> bool:
    """Whether an endpoint is spoken to without TLS, which ``config_archive`` allows on loopback."""
    return any(value.startswith("http://") for value in options.values())


def _status(problem: Exception) -> str:
    """Its kind, and what the server answered."""
    text = str(problem)
    said = re.search(r"status code: (\d{3} [A-Za-z ]{1,40})", text)
    code = re.search(r"<Code>([A-Za-z]{1,60})</Code>", text)
    words = [part[1] for part in (said, code) if part is not None]
    if not words and "error sending request" in text:
        words = ["no connection"]
    if not words and "Unable to canonicalize" in text:
        words = ["the folder is not there"]
    return ", ".join(words) or type(problem).__name__
