"""Where the tokens are kept: the system's keyring, or a file that a passphrase opens.

A keyring is believed after it has kept a value, given it back and lost it again, since some are
there and locked.  Only backends that encrypt are tried; the one that keeps plain text under the
keyring's name is not among them.  With neither keyring nor passphrase nothing is kept, and the
sign-in says so: there is no third way for people.  A workload has nobody to type a passphrase, and
nothing that lasts: its agent token and key, good for an hour, are in a file that only it can read.

``HOOP_KEYRING=off`` leaves the keyring alone; ``HOOP_PASSPHRASE`` answers the question.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from hoopcli.errors import Failure, NotSignedIn, say
from hoopcli.profile import home, own_folder, write_private

SERVICE = "hoop"
FILE = "encrypted file"
PLAIN = "private file"

# Module, class, and what people call it.  keyrings.alt is left out on purpose: its plain-text
# file becomes the default just by being installed.
BACKENDS = (
    ("keyring.backends.SecretService", "Keyring", "Secret Service"),
    ("keyring.backends.macOS", "Keyring", "macOS Keychain"),
    ("keyring.backends.kwallet", "DBusKeyring", "KWallet"),
    ("keyring.backends.Windows", "WinVaultKeyring", "Windows Credential Manager"),
)

# Interactive use: 32 MiB and about a tenth of a second per guess.  Kept in the file, so that it
# can be raised without losing what is there.
SCRYPT = {"n": 1 << 15, "r": 8, "p": 1}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one sign-in at one agent gave.  Secrets are in no repr."""

    principal: str  # id
    name: str
    groups: tuple[str, ...]
    token: str = field(repr=False)
    issued: float  # seconds since 1970, as are all times here
    expires: float
    identity_until: float
    key: str = field(repr=False)  # OpenSSH private key
    certificate: str = ""
    refresh_token: str = field(default="", repr=False)
    retired: tuple[str, ...] = field(default=(), repr=False)  # older tokens not yet revoked

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Credentials:
        """ValueError where the text is not ours, or of another version."""
        told = json.loads(text)
        if not isinstance(told, dict) or not {"principal", "token", "expires"} <= told.keys():
            raise ValueError("these are no credentials")
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {name: value for name, value in told.items() if name in known}
        for name in ("groups", "retired"):
            values[name] = tuple(values.get(name, ()))
        try:
            return cls(**values)
        except TypeError as problem:
            raise ValueError("these are credentials of another version") from problem


class Vault(Protocol):
    """Keeps one text under a name."""

    kind: str

    def load(self, name: str) -> str | None: ...
    def save(self, name: str, text: str) -> None: ...
    def delete(self, name: str) -> None: ...
    def file(self, name: str) -> Path | None:
        """Where the text is, if that is a file."""


def choose() -> Vault:
    """The vault for a new sign-in; Failure where there is no safe one."""
    found = _keyring()
    if found is not None:
        return found
    vault = FileVault(home() / "credentials")
    vault.ready()
    return vault


def for_workload() -> Vault:
    """The vault of what is no person."""
    return PlainVault(home() / "credentials")


def reopen(kind: str) -> Vault:
    """The vault of an earlier sign-in, without trying the others."""
    if kind == FILE:
        return FileVault(home() / "credentials")
    if kind == PLAIN:
        return PlainVault(home() / "credentials")
    for module, name, title in BACKENDS:
        if kind == title and not _off():
            backend = _backend(module, name)
            if backend is not None:
                return KeyringVault(backend, title)
    raise NotSignedIn(f"your sign-in is in a keyring that is not here now ({kind or 'unknown'})")


@contextmanager
def locked() -> Iterator[None]:
    """One ``hoop`` at a time renews: a refresh token may be good only once."""
    import fcntl

    own_folder(home())
    handle = os.open(home() / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(handle, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- the system's keyring -------------------------------------------------------------------------


class KeyringVault:
    """A backend of the ``keyring`` package."""

    def __init__(self, backend: Any, kind: str) -> None:
        self._backend = backend
        self.kind = kind

    def load(self, name: str) -> str | None:
        with self._told():
            text: str | None = self._backend.get_password(SERVICE, name)
        return text

    def save(self, name: str, text: str) -> None:
        with self._told():
            self._backend.set_password(SERVICE, name, text)

    def delete(self, name: str) -> None:
        from keyring.errors import PasswordDeleteError

        with self._told(), contextlib.suppress(PasswordDeleteError):
            self._backend.delete_password(SERVICE, name)

    def file(self, name: str) -> Path | None:
        return None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Exception as problem:  # each backend has errors of its own library
            from hoopcli.view import clean

            why = clean(str(problem) or type(problem).__name__)
            raise Failure(
                f"the keyring ({self.kind}) did not give your sign-in: {why}",
                "Unlock it; or keep the sign-in in a file:  HOOP_KEYRING=off hoop login --force",
                3,
            ) from problem


def _off() -> bool:
    return os.environ.get("HOOP_KEYRING", "").lower() in ("off", "0", "no")


def _keyring() -> KeyringVault | None:
    if _off():
        return None
    for module, name, title in BACKENDS:
        backend = _backend(module, name)
        if backend is None:
            continue
        if _works(backend):
            return KeyringVault(backend, title)
        say(f"There is a keyring here ({title}), but it is locked, or keeps nothing.")
    return None


def working() -> str | None:
    """The kind of the keyring that keeps a value, gives it back and loses it again; None: none."""
    found = _keyring()
    return None if found is None else found.kind


def _backend(module: str, name: str) -> Any:
    import importlib

    try:
        kind = getattr(importlib.import_module(module), name)
        return kind() if kind.viable else None
    except Exception:  # noqa: BLE001 - a backend that cannot even be made is not there
        return None


def _works(backend: Any) -> bool:
    """Whether a value written is read back, and gone once deleted."""
    name, value = f"probe-{secrets.token_hex(8)}", secrets.token_urlsafe(24)
    try:
        backend.set_password(SERVICE, name, value)
        kept = backend.get_password(SERVICE, name) == value
        backend.delete_password(SERVICE, name)
        return kept and backend.get_password(SERVICE, name) is None
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not to be used
        return False


# --- a file for what has no passphrase ------------------------------------------------------------


class PlainVault:
    """A file for each name, 0600 in a folder 0700.  It refuses what outlives the agent token."""

    kind = PLAIN

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> str | None:
        path = self.file(name)
        try:
            seen = path.stat()
            if seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
                raise Failure(f"{path} can be read by others: hoop logout, then sign in again")
            return path.read_text("utf-8")
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise Failure(f"{path} could not be read: {problem.strerror}") from problem

    def save(self, name: str, text: str) -> None:
        if Credentials.from_text(text).refresh_token:
            raise Failure("a refresh token is never kept in plain text")
        write_private(self.file(name), text.encode())

    def delete(self, name: str) -> None:
        self.file(name).unlink(missing_ok=True)

    def file(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


# --- a file and a passphrase ----------------------------------------------------------------------


class FileVault:
    """A file for each name, opened by a passphrase: scrypt, then AES-256-GCM."""

    kind = FILE

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._passphrase = ""

    def ready(self) -> None:
        """Has a passphrase, or raises: better before the browser opens than after."""
        self._secret(new=True)

    def load(self, name: str) -> str | None:
        path = self.file(name)
        try:
            sealed = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise Failure(f"{path} could not be read: {problem.strerror}") from problem
        return _opened(sealed, self._secret(new=False), name, path)

    def save(self, name: str, text: str) -> None:
        write_private(self.file(name), _sealed(text, self._secret(new=True), name))

    def delete(self, name: str) -> None:
        self.file(name).unlink(missing_ok=True)

    def file(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.sealed"

    def _secret(self, *, new: bool) -> bytes:
        if not self._passphrase:
            self._passphrase = os.environ.get("HOOP_PASSPHRASE", "") or _ask(new=new)
        return self._passphrase.encode()


def _ask(*, new: bool) -> str:
    from getpass import getpass

    from hoopcli import asking

    if not asking.possible() or os.environ.get("HOOP_COMPLETING"):
        what = "keep your sign-in" if new else "open your sign-in"
        raise Failure(
            f"there is no keyring here, and no passphrase to {what} with",
            "Set HOOP_PASSPHRASE, or run hoop in a terminal, where it can ask.",
            3,
        )
    if not new:
        return getpass("Passphrase of your sign-in: ", sys.stderr)
    say("There is no keyring here. A passphrase will guard your sign-in in a file.")
    first = getpass("New passphrase: ", sys.stderr)
    if not first or first != getpass("The same again: ", sys.stderr):
        raise Failure("the two are not the same" if first else "an empty passphrase guards nothing")
    return first


def _sealed(text: str, passphrase: bytes, name: str) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    key = hashlib.scrypt(passphrase, salt=salt, maxmem=128 << 20, dklen=32, **SCRYPT)
    box = AESGCM(key).encrypt(nonce, text.encode(), _bound_to(name))
    parts = {"salt": salt, "nonce": nonce, "box": box}
    told = {key: base64.b64encode(value).decode() for key, value in parts.items()}
    return json.dumps({"version": 1, "scrypt": SCRYPT, **told}).encode()


def _opened(sealed: bytes, passphrase: bytes, name: str, path: Path) -> str:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        told = json.loads(sealed)
        salt, nonce, box = (base64.b64decode(told[part]) for part in ("salt", "nonce", "box"))
        cost = {part: int(told["scrypt"][part]) for part in ("n", "r", "p")}
        if told["version"] != 1 or cost["n"] > 1 << 19 or cost["r"] > 8 or cost["p"] > 8:
            raise ValueError("another version")
        key = hashlib.scrypt(passphrase, salt=salt, maxmem=1 << 30, dklen=32, **cost)
        return AESGCM(key).decrypt(nonce, box, _bound_to(name)).decode()
    except InvalidTag:
        raise NotSignedIn("that passphrase does not open your sign-in") from None
    except (ValueError, KeyError, TypeError) as problem:
        raise NotSignedIn(f"{path} is damaged: {problem}") from problem


def _bound_to(name: str) -> bytes:
    """So that one agent's file cannot be put in the place of another's."""
    return f"hoop credentials 1 {name}".encode()
