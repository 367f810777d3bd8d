"""The agent's two SSH keys: the one it shows, and the one that signs people's certificates.

They are made once, in a folder that only the agent's account can read, and a folder or file that
others can read stops the start: a key that may have leaked is no key.
"""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from hoopcore.model import SECOND, Time

HOST_KEY = "ssh_host_ed25519"
USER_CA = "ssh_user_ca_ed25519"

# A client's clock may be a little behind ours, and it looks at the certificate too.
BACKDATED = 60 * SECOND


class KeysUnsafe(Exception):
    """Somebody else may have read or written a key; the text says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Both keys.  The private parts are in no repr."""

    host: asyncssh.SSHKey = field(repr=False)
    user_ca: asyncssh.SSHKey = field(repr=False)

    @classmethod
    def load_or_create(cls, folder: Path) -> Keys:
        """From the folder; what is not there yet is made.  Two starts at once get the same keys."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _only_ours(folder)
        return cls(_load_or_create(folder / HOST_KEY), _load_or_create(folder / USER_CA))

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` of the host key, as ssh shows it; what a client pins."""
        return self.host.get_fingerprint()

    def certify(
        self,
        key: asyncssh.SSHKey,
        principal: str,
        serial: int,
        now: Time,
        expires: Time,
        sign_in: str = "",
    ) -> str:
        """One line in OpenSSH's format: a user certificate for this public key.

        It names exactly one principal, and behind it the sign-in it is of: that is no user name
        anywhere, and tells the door when the certificate is over before its time.  It allows port
        forwarding (that is how a lane is opened) and nothing else: no terminal, no agent, no X11.
        It ends at ``expires``, rounded down.
        """
        certificate = self.user_ca.generate_user_certificate(
            key,
            key_id=f"hoop:{principal}:{serial:016x}",
            serial=serial,
            principals=[principal, sign_in] if sign_in else [principal],
            valid_after=(now - BACKDATED) // SECOND,
            valid_before=expires // SECOND,
            permit_x11_forwarding=False,
            permit_agent_forwarding=False,
            permit_pty=False,
            permit_user_rc=False,
            comment=principal,
        )
        return certificate.export_certificate().decode().strip()


def _load_or_create(path: Path) -> asyncssh.SSHKey:
    if not path.exists():
        _create(path)
    _only_ours(path)
    return asyncssh.read_private_key(path)


def _create(path: Path) -> None:
    """Whole or not at all, and never over one that is there: others may have pinned it."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    text = asyncssh.generate_private_key("ssh-ed25519", comment="hoop").export_private_key()
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            return  # another start was quicker; its key is the one
    finally:
        fresh.unlink()


def _only_ours(path: Path) -> None:
    seen = path.stat()
    if seen.st_uid != os.geteuid():
        raise KeysUnsafe(f"{path} belongs to uid {seen.st_uid}, not to the agent's account")
    if seen.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = "700" if path.is_dir() else "600"
        raise KeysUnsafe(f"{path} can be reached by others: chmod {mode} it, if nobody has read it")
