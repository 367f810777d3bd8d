"""The agent's SSH keys: the one it shows, and those that sign certificates.

They are made once, in a folder that only the agent's account can read (``key_files.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from hoopagent.key_files import KeyUnsafe, load_or_create, own_folder
from hoopcore.model import SECOND, Time

HOST_KEY = "ssh_host_ed25519"
USER_CA = "ssh_user_ca_ed25519"
TARGET_CA = "ssh_target_ca_ed25519"
HOST_CA = "ssh_host_ca_ed25519"

# A certificate for an account on a target is used at once.
ACCOUNT_LIFE = 120  # seconds

# A client's clock may be a little behind ours, and it looks at the certificate too.
BACKDATED = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Keys:
    """All of them.  The private parts are in no repr."""

    host: asyncssh.SSHKey = field(repr=False)
    user_ca: asyncssh.SSHKey = field(repr=False)
    target_ca: asyncssh.SSHKey = field(repr=False)  # of accounts on targets
    host_ca: asyncssh.SSHKey = field(repr=False)  # of the host key

    @classmethod
    def load_or_create(cls, folder: Path) -> Keys:
        """From the folder; what is not there yet is made.  Two starts at once get the same keys.

        KeyUnsafe where others may have read one, or where one is no key.
        """
        own_folder(folder)
        return cls(*(_open(folder / name) for name in (HOST_KEY, USER_CA, TARGET_CA, HOST_CA)))

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` of the host key, as ssh shows it; what a client pins."""
        return self.host.get_fingerprint()

    def for_names(self, names: Sequence[str]) -> asyncssh.SSHCertificate:
        """A certificate of the host key under these names, for as long as there is its authority.

        It is in the same folder: whoever has the one has the other.
        """
        return self.host_ca.generate_host_certificate(
            self.host, key_id="hoop agent", principals=list(names)
        )

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
        forwarding (that is how a lane is opened) and terminals, for SSH targets: no agent, no X11.
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
            permit_user_rc=False,
            comment=principal,
        )
        return certificate.export_certificate().decode().strip()

    def for_account(
        self, account: str, label: str, now: Time, *, forwards: bool = False
    ) -> tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]:
        """A fresh key, and a certificate with which it is this account for two minutes.

        The target logs ``label`` beside it.  It allows a terminal, and forwards where they are
        wanted; nothing else.
        """
        key = asyncssh.generate_private_key("ssh-ed25519")
        certificate = self.target_ca.generate_user_certificate(
            key,
            key_id=label,
            principals=[account],
            valid_after=(now - BACKDATED) // SECOND,
            valid_before=now // SECOND + ACCOUNT_LIFE,
            permit_x11_forwarding=False,
            permit_agent_forwarding=False,
            permit_port_forwarding=forwards,
            permit_user_rc=False,
            comment=label,
        )
        return key, certificate


def _open(path: Path) -> asyncssh.SSHKey:
    text = load_or_create(path, _fresh)
    try:
        return asyncssh.import_private_key(text)
    except asyncssh.KeyImportError as problem:
        raise KeyUnsafe(f"{path} is no private key") from problem


def _fresh() -> bytes:
    key = asyncssh.generate_private_key("ssh-ed25519", comment="hoop")
    return key.export_private_key()
