"""The agent's folder of TOML files, read into frozen values.

``agent.toml`` says where things are, ``targets.toml`` what there is, ``roles.toml`` who may ask
for what, ``rules.toml`` what statements may do, ``masks.toml`` which values nobody sees.  An
unknown key stops the start.  Secrets are references (``env:NAME``, ``file:PATH``), never values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hoopcore.model import Durability, Tier

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Duration = Annotated[str, Field(pattern=r"^(\d+[smhd])+$")]  # "90s", "1h30m", "2d"
Reference = Annotated[str, Field(pattern=r"^(env|file):.+$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Agent(Section):
    """``[agent]`` of agent.toml."""

    data: Path = Path("data")  # recordings, store, keys; relative to the folder of the file
    run: Path = Path("run")  # sockets
    ssh: str = "127.0.0.1:7722"  # address of the SSH door
    tcp: str = "127.0.0.1:0"  # the local door's loopback port for clients that know no sockets
    store: str = ""  # SQLAlchemy URL; empty: SQLite in the data folder
    drain: Duration = "30s"  # what running sessions get at SIGTERM
    held_bytes: int = Field(256 << 20, ge=1 << 20)


class Identity(Section):
    """``[identity]`` of agent.toml."""

    issuer: str
    client_id: str  # a public client: the device flow runs where a secret would be nobody's
    scopes: tuple[str, ...] = ("openid", "email", "profile", "groups", "offline_access")
    groups_claim: str = "groups"
    max_age: Duration = "12h"
    token_life: Duration = "1h"  # noqa: S105 - a duration
    ca_file: Path | None = None


class Credential(Section):
    user: str
    password: Reference | None = None


class Tls(Section):
    mode: Literal["verify-full", "verify-ca", "require", "off"] = "verify-full"
    ca_file: Path | None = None
    server_name: str | None = None


class TargetSection(Section):
    """``[targets.NAME]`` of targets.toml."""

    protocol: Literal["postgres"] = "postgres"
    address: str  # host:port, or the folder of a unix socket
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


class Eligibility(Section):
    """``[[roles.NAME.may_request]]`` of roles.toml."""

    targets: tuple[str, ...]  # patterns
    scope: str = "*.*:*"
    max: Duration = "2h"
    approvers: frozenset[str] = frozenset()  # groups
    votes: int = Field(1, ge=0)  # 0: granted at once by the policy
    expires: Duration = "24h"  # a request nobody answers


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
