"""Which certificate opens the SSH door, and for whom.

A user name is a principal's id, or ``NAME+TARGET`` for an SSH target: the certificate tells who it
is then, and the door looks whether the name is theirs.

It is asked at every offer and at every signature; what it says of an offer opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import asyncssh

from hoopagent.identity import is_sign_in
from hoopcore.model import is_id


class OurCertificates(asyncssh.SSHAuthorizedKeys):
    """Which certificate is good for one user name: of our CA, and naming it and nobody else.

    asyncssh then checks the rest: kind, times, the CA's signature, and the client's own.
    """

    def __init__(self, ca: asyncssh.SSHKey, username: str, count: Callable[[], None]) -> None:
        super().__init__()
        self._ca = ca.public_data
        self._username = username
        self._count = count

    def validate(
        self,
        key: asyncssh.SSHKey,
        client_host: str,
        client_addr: str,
        cert_principals: Sequence[str] | None = None,
        ca: bool = False,
    ) -> dict[str, Any] | None:
        """No options where it is good, None where it is not.  A plain key never is."""
        if not ca:
            return None
        self._count()
        # A certificate that names nobody would be good for every user name.
        named, *more = cert_principals or ("",)
        sign_in = more[0] if len(more) == 1 and is_sign_in(more[0]) else ""
        if not is_id(named) or (more and not sign_in) or key.public_data != self._ca:
            return None
        who, plus, _ = self._username.partition("+")
        if not plus:
            return {"sign-in": sign_in} if named == self._username else None
        if is_id(who) and who != named:
            return None
        # ``principals`` says that we have looked at the name ourselves: it holds a target's too.
        return {"sign-in": sign_in, "principals": [named], "named": named}

    def validate_x509(self, *_: Any) -> Any:
        raise asyncssh.PermissionDenied("X.509 is not used here")
