"""The agent's folder of TOML files, read into frozen values.

``agent.toml`` says where things are, ``targets.toml`` what there is, ``roles.toml`` who may ask
for what, ``rules.toml`` what statements may do, ``masks.toml`` which values nobody sees.  An
unknown key stops the start.  Secrets are references (``env:NAME``, ``file:PATH``), never values.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hoopcore.model import Durability, Tier

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Duration = Annotated[str, Field(pattern=r"^(\d+[smhd])+$")]  # "90s", "1h30m", "2d"
Reference = Annotated[str, Field(pattern=r"^(env|file|keyring):.+$")]


def _is_role(name: str) -> str:
    """The name of a role, which may be written any way but as one of PostgreSQL's own words."""
    if name in ("none", "public") or name.startswith("pg_"):
        raise ValueError(f'"{name}" is not the name of a role somebody made')
    return name


RoleName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,63}$"), AfterValidator(_is_role)]
Host = Annotated[str, Field(min_length=1)]


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> int:
    """``1h30m`` → 5400.  The form was checked when the file was read."""
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", duration))


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Agent(Section):
    """``[agent]`` of agent.toml."""

    data: Path = Path("data")  # recordings, store, keys; relative to the folder of the file
    run: Path = Path("run")  # sockets
    ssh: str = "127.0.0.1:7722"  # address of the SSH door
    tcp: str = "127.0.0.1:0"  # the local door's loopback port for clients that know no sockets
    store: str = ""  # URL, or a reference to one; empty: SQLite in the data folder
    drain: Duration = "30s"  # what running sessions get at SIGTERM
    held_bytes: int = Field(default=256 << 20, ge=1 << 20)
    sessions_per_principal: int = Field(default=100, ge=1)
    handshakes: int = Field(default=512, ge=1)  # at one door, of strangers
    handshakes_per_address: int = Field(default=128, ge=1)
    sign_ins_per_minute: int = Field(default=120, ge=1)  # of one address or uid


def _claim(value: object) -> object:
    several = value if isinstance(value, list | tuple) else [value]
    texts = all(isinstance(one, str) for one in several) and len(several) > 0
    if not texts and type(value) not in (int, bool):
        raise ValueError("a claim is a text, a whole number, a boolean or a list of texts")
    return tuple(several) if isinstance(value, list) else value


Claim = Annotated[Any, AfterValidator(_claim)]


class Workload(Section):
    """``[[identity.workloads]]`` of agent.toml: a principal that is no person."""

    name: Name
    kind: Literal["service", "agent"] = "service"
    owner: str = Field(min_length=1)  # who answers for it: an e-mail address or a group
    audience: str = Field(min_length=1)
    claims: dict[str, Claim] = Field(min_length=1)
    groups: frozenset[str] = frozenset()
    issuer: str = ""  # empty: the one people sign in with
    ca_file: Path | None = None
    reuse: bool = False  # whether one token may be shown again until it ends
    max_age: Duration | None = None  # like that of people, where it is to be another


class Identity(Section):
    """``[identity]`` of agent.toml."""

    issuer: str
    client_id: str  # a public client: the device flow runs where a secret would be nobody's
    scopes: tuple[str, ...] = ("openid", "email", "profile", "groups", "offline_access")
    groups_claim: str = "groups"
    max_age: Duration = "12h"
    token_life: Duration = "1h"  # noqa: S105 - a duration
    ca_file: Path | None = None
    workloads: tuple[Workload, ...] = ()


Method = Literal["scram-sha-256-plus", "scram-sha-256", "md5", "password", "none"]


class Credential(Section):
    user: str
    password: Reference | None = None
    command: tuple[str, ...] = ()  # a program that prints the password, and its arguments
    command_keep: Duration = "0s"  # how long what it printed is used again
    require_auth: frozenset[Method] = frozenset()  # empty: what target_login allows by itself
    ephemeral: bool = False  # a user of its own for each session
    in_roles: tuple[RoleName, ...] = ()  # what such a user is a member of


class Tls(Section):
    mode: Literal["verify-full", "verify-ca", "require", "off"] = "verify-full"
    ca_file: Path | None = None
    server_name: str | None = None
    cert_file: Path | None = None  # the agent's own certificate, for targets that ask for one
    key_file: Path | None = None


class TargetSection(Section):
    """``[targets.NAME]`` of targets.toml."""

    protocol: Literal["postgres"] = "postgres"
    address: Host | Annotated[tuple[Host, ...], Field(min_length=1)]  # host:port, or a folder
    target_session_attrs: Literal[
        "any", "read-write", "read-only", "primary", "standby", "prefer-standby"
    ] = "any"
    pooler: Literal["none", "transaction"] = "none"
    max_protocol_version: Literal["3.0", "3.2"] = "3.2"
    databases: tuple[str, ...] = Field(min_length=1)
    credential: Credential
    tls: Tls = Tls()
    labels: dict[str, str] = {}
    owners: frozenset[str] = frozenset()
    tier: Tier = Tier.MEDIUM
    max_duration: Duration = "8h"
    durability: Durability = Durability.KERNEL
    functions: frozenset[str] = frozenset()  # functions known to be harmless here
    record_text: Literal["masked", "exact"] = "masked"
    max_sessions: int = Field(default=500, ge=1)  # of everybody together


class Eligibility(Section):
    """``[[roles.NAME.may_request]]`` of roles.toml."""

    targets: tuple[str, ...]  # patterns
    scope: str = "*.*:*"
    max: Duration = "2h"
    approvers: frozenset[str] = frozenset()  # groups
    votes: int = Field(1, ge=0)  # 0: granted at once by the policy
    expires: Duration = "24h"  # a request nobody answers
    database_role: RoleName | None = None  # what sessions under such a grant are on the target


class Role(Section):
    groups: frozenset[str]
    may_request: tuple[Eligibility, ...] = ()
    administer: bool = False  # may see, revoke and kill what is not theirs


class Config(Section):
    """All files together.  ``rules`` and ``masks`` are the texts; the core reads those."""

    folder: Path
    agent: Agent
    identity: Identity
    targets: dict[Name, TargetSection]
    roles: dict[Name, Role]
    rules: str
    masks: str
    version: str  # SHA-256 over all files: the policy version of a decision
