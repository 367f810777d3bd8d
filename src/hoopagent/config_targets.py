"""What is wrong with targets.toml that no single key shows: addresses, credentials, keys, poolers.

``config_files`` reads the shapes; here each target is looked at as a whole, and together with the
roles that lead to it.  Nothing here opens a connection or asks a keyring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeAlias

from hoopagent.config import Config, Eligibility, Role, TargetSection
from hoopagent.connect import KeyUnsafe, check_key
from hoopagent.secrets import SecretUnread, read_secret
from hoopcore.places import ConfigError, line_of, lines_of

FILE = "targets.toml"

Problem: TypeAlias = tuple[str, tuple[str, ...]]
"""What is wrong, and under which keys of the target."""


def crossed(
    text: str, targets: dict[str, TargetSection], roles: dict[str, Role]
) -> list[ConfigError]:
    """Problems between keys that are each right."""
    found = []
    for name, target in targets.items():
        for check in (_addresses, _credential, _pooler, _protocol):
            found += [_error(text, name, *problem) for problem in check(target)]
        wanted = _roles_for(name, roles)
        if wanted and target.pooler != "none":
            words = (
                f"a pooler keeps no role for a session, and roles.toml wants database_role"
                f' "{wanted[0]}" here'
            )
            found.append(_error(text, name, words, ("pooler",)))
    return found


def is_address(text: str) -> bool:
    """Whether it is ``host:port``."""
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and int(port) < 1 << 16


_OF_SSH = ("host", "shell", "channels", "forwards", "output", "clear_output")
_OF_POSTGRES = (
    *("databases", "tls", "pooler", "target_session_attrs", "max_protocol_version"),
    *("functions", "record_results"),
)


def _protocol(target: TargetSection) -> Iterator[Problem]:
    """Keys of another protocol, and what each one cannot be without."""
    given, credential = target.model_fields_set, target.credential
    foreign = _OF_POSTGRES if target.protocol == "ssh" else _OF_SSH
    for key in foreign:
        if key in given:
            yield f'"{key}" means nothing where protocol = "{target.protocol}"', (key,)
    if target.protocol == "postgres":
        if not target.databases:
            yield 'it wants a key "databases", with one at least', ("databases",)
        for key in sorted(credential.model_fields_set & {"key_file", "certificate"}):
            yield f'"{key}" is for protocol = "ssh"', ("credential", key)
        return
    if not isinstance(target.address, str) or target.address.startswith("/"):
        yield "an SSH target has one address: host:port", ("address",)
    for key in sorted(credential.model_fields_set & {"ephemeral", "in_roles", "require_auth"}):
        yield f'"{key}" is for protocol = "postgres"', ("credential", key)
    password = credential.password is not None or bool(credential.command)
    if (credential.key_file is not None) + credential.certificate + password != 1:
        words = "a credential for SSH is one of key_file, certificate, and a password or command"
        yield words, ("credential",)
    host = target.host
    if not (host.keys or host.ca or host.known_hosts):
        yield "no host key is pinned: say keys, ca or known_hosts in [targets.NAME.host]", ("host",)
    for key, lines in (("keys", host.keys), ("ca", host.ca)):
        for line in lines:
            if not _is_public_key(line):
                yield f'"{key}" has a line that is no public key', ("host", key)


def _is_public_key(line: str) -> bool:
    import asyncssh  # takes a while, and few checks need it

    try:
        asyncssh.import_public_key(line)
    except (asyncssh.KeyImportError, ValueError):
        return False
    return True


def _addresses(target: TargetSection) -> Iterator[Problem]:
    several = not isinstance(target.address, str)
    addresses = (target.address,) if isinstance(target.address, str) else target.address
    for address in addresses:
        if address.startswith("/"):
            if several:
                yield "a list of addresses has no folders of sockets in it", ("address",)
        elif not is_address(address):
            words = f'address "{address}" is not host:port, nor the folder of a socket'
            yield words, ("address",)


def _credential(target: TargetSection) -> Iterator[Problem]:
    credential, tls = target.credential, target.tls
    if credential.command and credential.password is not None:
        yield "a credential has a password or a command, not both", ("credential", "command")
    if (credential.password or "").startswith("keyring:"):
        service, _, account = (credential.password or "")[8:].rpartition("/")
        if not service or not account:
            yield "a keyring's entry is keyring:SERVICE/ACCOUNT", ("credential", "password")
    if credential.in_roles and not credential.ephemeral:
        yield "in_roles is for ephemeral users", ("credential", "in_roles")
    writes = target.target_session_attrs in ("read-write", "primary")
    if credential.ephemeral and not writes and not isinstance(target.address, str):
        words = (
            'users are made on a primary: target_session_attrs = "read-write" with several hosts'
        )
        yield words, ("target_session_attrs",)
    if (tls.cert_file is None) is not (tls.key_file is None):
        yield "cert_file and key_file belong together", ("tls", "cert_file")


def _pooler(target: TargetSection) -> Iterator[Problem]:
    if target.pooler != "none" and target.credential.ephemeral:
        words = "a pooler does not know users that are made for a session"
        yield words, ("credential", "ephemeral")
    if target.pooler != "none" and target.target_session_attrs != "any":
        yield "behind a pooler nobody can tell which host it is", ("target_session_attrs",)


def ssh_roles(targets: dict[str, TargetSection], offer: Eligibility) -> tuple[str, str] | None:
    """What an offer says of roles or accounts that its targets have not; the words and the key."""
    protocols = {
        section.protocol
        for name, section in targets.items()
        if any(fnmatchcase(name, pattern) for pattern in offer.targets)
    }
    if offer.account is not None and offer.database_role is not None:
        return "account is of SSH targets and database_role of databases: two entries", "account"
    if offer.account is not None and "postgres" in protocols:
        return '"account" is of SSH targets, and some of these are databases', "account"
    if offer.database_role is not None and "ssh" in protocols:
        return '"database_role" is of databases, and some of these are SSH targets', "database_role"
    return None


def _roles_for(target: str, roles: dict[str, Role]) -> list[str]:
    return [
        offer.database_role
        for role in roles.values()
        for offer in role.may_request
        if offer.database_role and any(fnmatchcase(target, p) for p in offer.targets)
    ]


def unread(text: str, config: Config) -> list[ConfigError]:
    """References that stand for nothing now, and files that are not there or not safe."""
    found = []
    for name, target in config.targets.items():
        for check in (_secret_of(config.folder), _key_files):
            found += [_error(text, name, *problem) for problem in check(target)]
    return found


def _secret_of(folder: Path) -> Callable[[TargetSection], Iterator[Problem]]:
    def check(target: TargetSection) -> Iterator[Problem]:
        reference = target.credential.password
        if reference is None or reference.startswith("keyring:"):
            return  # a keyring may ask somebody, so it is asked when it must be
        try:
            read_secret(reference, folder)
        except SecretUnread as problem:
            yield f'"password": {problem}', ("credential", "password")

    return check


def _key_files(target: TargetSection) -> Iterator[Problem]:
    tls = target.tls
    try:
        if tls.key_file is not None:
            check_key(tls.key_file)
    except KeyUnsafe as problem:
        yield str(problem), ("tls", "key_file")
    except OSError as problem:
        yield f"key_file {tls.key_file}: {problem.strerror}", ("tls", "key_file")
    if tls.cert_file is not None and not tls.cert_file.is_file():
        yield f"cert_file {tls.cert_file}: no such file", ("tls", "cert_file")
    key, known = target.credential.key_file, target.host.known_hosts
    try:
        if key is not None:
            check_key(key)
    except KeyUnsafe as problem:
        yield str(problem), ("credential", "key_file")
    except OSError as problem:
        yield f"key_file {key}: {problem.strerror}", ("credential", "key_file")
    if known is not None and not known.is_file():
        yield f"known_hosts {known}: no such file", ("host", "known_hosts")


def _error(text: str, name: str, said: str, keys: tuple[str, ...]) -> ConfigError:
    line = line_of(lines_of(text), ("targets", name, *keys))
    return ConfigError(said, file=FILE, line=line, key=keys[-1])
