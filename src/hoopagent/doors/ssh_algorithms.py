"""What the SSH door offers to speak: the narrowest list that stock clients can do.

Order of the file: the lists, and the two that depend on who is there.
"""

from __future__ import annotations

import asyncssh

# AES-GCM is twice as fast as chacha20 here, but SSH follows the client's order, and OpenSSH puts
# chacha20 first.  So chacha20 is shown only to a client known to have no GCM (Debian's dropbear).
GCM = (b"aes256-gcm@openssh.com", b"aes128-gcm@openssh.com")
CHACHA = b"chacha20-poly1305@openssh.com"

# No NIST curves and no finite-field groups; OpenSSH 9.2 has no ML-KEM, so curve25519 stays.
KEX = ("mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org")


def known_kex() -> list[str]:
    """Those of ``KEX`` that this installation of asyncssh has; ML-KEM needs a recent one."""
    from asyncssh.kex import get_kex_algs

    known = {name.decode() for name in get_kex_algs()}
    return [name for name in KEX if name in known]


def show_chacha_where_needed(conn: asyncssh.SSHServerConnection) -> None:
    """Adds chacha20 to what one client is shown, if its version says that it has no GCM.

    That client also guesses the key exchange, and asyncssh takes a guess for right that is not the
    first of our list: so it is shown the one that it guesses first.

    asyncssh has no call for this.  It sends its lists right after the client's version has come,
    so that is the moment; without these names of its inside the lists stay as they were.
    """
    send = getattr(conn, "_send_kexinit", None)
    if send is None or not hasattr(conn, "_enc_algs") or not hasattr(conn, "_kex_algs"):
        return

    def send_kexinit() -> None:
        if "dropbear" in str(conn.get_extra_info("client_version", "")).lower():
            conn._enc_algs = [*GCM, CHACHA]
            conn._kex_algs = [name for name in conn._kex_algs if not name.startswith(b"mlkem")]
        send()

    setattr(conn, "_send_kexinit", send_kexinit)  # noqa: B010 - mypy forbids the plain form
