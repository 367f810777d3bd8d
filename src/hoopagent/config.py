"""The agent's folder of TOML files, read into frozen values.

``agent.toml`` says where things are, ``targets.toml`` what there is, ``roles.toml`` who may ask
for what, ``rules.toml`` what statements may do, ``masks.toml`` which values nobody sees.  An
unknown key stops the start.  Secrets are references (``env:NAME``, ``file:PATH``), never values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import re2
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hoopcore.model import Durability, Priority, Tier
from hoopcore.policy.windows import Window

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
ProgramName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,62}$")]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> int:
    """``1h30m`` → 5400.  The form was checked when the file was read."""
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", duration))


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Event = Literal[
    "request.made", "request.decided", "grant.expiring", "grant.ended", "break_glass", "review.due"
]


class AuditSink(Section):
    """``[[agent.audit]]`` of agent.toml: where each row of the audit goes as well."""

    name: Name
    file: Path | None = None  # a line a row, as `hoop audit export` prints them
    syslog: str = ""  # a unix socket's path, or udp:HOST:PORT

    @model_validator(mode="after")
    def _one_place(self) -> AuditSink:
        if (self.file is None) == (not self.syslog):
            raise ValueError("it wants one of file and syslog")
        if self.syslog and not re.fullmatch(r"/.+|udp:.+:\d{1,5}", self.syslog):
            raise ValueError("syslog is a socket's path, or udp:HOST:PORT")
        return self


class Notify(Section):
    """``[[agent.notify]]`` of agent.toml: who is told of what, and how."""

    name: Name
    url: str = ""  # or a reference to one, since a URL may be a secret
    secret: Reference | None = None  # with which what is sent is signed
    format: Literal["json", "slack"] = "json"
    command: tuple[str, ...] = ()  # a program and its arguments; it reads JSON
    events: tuple[Event, ...] = ("request.made", "break_glass", "review.due")
    targets: tuple[str, ...] = ("*",)  # patterns
    limit: Duration = "10s"  # for one attempt
    give_up: Duration = "24h"  # what is older is not sent any more

    @model_validator(mode="after")
    def _one_way(self) -> Notify:
        if bool(self.url) == bool(self.command):
            raise ValueError("it wants one of url and command")
        return self


class ArchiveSection(Section):
    """``[agent.archive]`` of agent.toml: where recordings go once their sessions have ended."""

    url: str  # s3://BUCKET/FOLDER, gs://…, az://…, file:///FOLDER
    options: dict[str, str] = {}  # of the library that speaks to it: endpoint, region, …
    secrets: dict[str, Reference] = {}  # the same, where the value is one
    ca_file: Path | None = None
    keep_local: Duration = "7d"  # how long a recording is on the agent's own disk too


Keep = Literal["for ever"] | Duration


class Agent(Section):
    """``[agent]`` of agent.toml."""

    data: Path = Path("data")  # recordings, store, keys; relative to the folder of the file
    run: Path = Path("run")  # sockets
    ssh: str = "127.0.0.1:7722"  # address of the SSH door
    ssh_names: tuple[HostName, ...] = ()  # under which its host key is certified
    tcp: str = "127.0.0.1:0"  # the local door's loopback port for clients that know no sockets
    store: str = ""  # URL, or a reference to one; empty: SQLite in the data folder
    drain: Duration = "30s"  # what running sessions get at SIGTERM
    held_bytes: int = Field(default=256 << 20, ge=1 << 20)
    sessions_per_principal: int = Field(default=100, ge=1)
    handshakes: int = Field(default=512, ge=1)  # at one door, of strangers
    handshakes_per_address: int = Field(default=128, ge=1)
    sign_ins_per_minute: int = Field(default=120, ge=1)  # of one address or uid
    audit: tuple[AuditSink, ...] = ()
    notify: tuple[Notify, ...] = ()
    archive: ArchiveSection | None = None
    keep_recordings: Keep = "for ever"  # counted from a session's end


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
    sign_in_by_ssh: bool = True  # by a code that ssh shows, where the provider has these
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
    key_file: Path | None = None  # of SSH: a private key without a passphrase
    certificate: bool = False  # of SSH: a certificate of hoop's own for each session


class Tls(Section):
    mode: Literal["verify-full", "verify-ca", "require", "off"] = "verify-full"
    ca_file: Path | None = None
    server_name: str | None = None
    cert_file: Path | None = None  # the agent's own certificate, for targets that ask for one
    key_file: Path | None = None


class HostKeys(Section):
    """``[targets.NAME.host]``: how an SSH target proves that it is the target."""

    keys: tuple[str, ...] = ()  # public keys as in known_hosts, without the host
    ca: tuple[str, ...] = ()  # public keys that sign such
    known_hosts: Path | None = None  # a file of OpenSSH's


@dataclass(frozen=True, slots=True)
class Forward:
    """Where people may be forwarded from an SSH target: a host as they write it, and a port."""

    host: str  # small letters; "*": any, "*.NAME": what ends so
    port: int | None  # None: any

    _FORM = re.compile(r"(\*|(?:\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\*|\d{1,5})")
    _HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")

    @classmethod
    def parse(cls, text: object) -> Forward:
        """``HOST:PORT``, either of them ``*``; ValueError."""
        found = cls._FORM.fullmatch(text) if isinstance(text, str) else None
        if found is None or (found[2] != "*" and not 0 < int(found[2]) < 1 << 16):
            raise ValueError(f'"{text}" is not HOST:PORT, *.NAME:PORT or HOST:*')
        port = None if found[2] == "*" else int(found[2])
        return cls(found[1].strip("[]").lower(), port)

    def matches(self, host: str, port: int) -> bool:
        host = host.lower().rstrip(".")
        if not self._HOST.fullmatch(host) or not 0 < port < 1 << 16:
            return False
        is_port = self.port in (None, port)
        if self.host.startswith("*."):
            return is_port and host.endswith(self.host[1:])
        return is_port and self.host in ("*", host)


class TargetSection(Section):
    """``[targets.NAME]`` of targets.toml."""

    protocol: Literal["postgres", "ssh"] = "postgres"
    address: Host | Annotated[tuple[Host, ...], Field(min_length=1)]  # host:port, or a folder
    target_session_attrs: Literal[
        "any", "read-write", "read-only", "primary", "standby", "prefer-standby"
    ] = "any"
    pooler: Literal["none", "transaction"] = "none"
    max_protocol_version: Literal["3.0", "3.2"] = "3.2"
    databases: tuple[str, ...] = ()  # of PostgreSQL: one at least
    host: HostKeys = HostKeys()  # of SSH
    shell: Literal["posix", "bash"] = "posix"  # of SSH: what reads commands there
    channels: tuple[Literal["exec", "shell", "sftp"], ...] = ("exec", "shell", "sftp")  # of SSH
    forwards: tuple[Annotated[Forward, BeforeValidator(Forward.parse)], ...] = ()  # of SSH
    output: Literal["masked", "clear"] = "masked"  # of SSH: whether detectors look at it
    # Of SSH: programs whose output is no text, and passes as it is.
    clear_output: tuple[ProgramName, ...] = ("git-upload-pack", "git-receive-pack", "tar")
    credential: Credential
    tls: Tls = Tls()
    labels: dict[str, str] = {}
    owners: frozenset[str] = frozenset()
    tier: Tier = Tier.MEDIUM
    narrow_softly: Duration = "30d"  # so long what a review narrows away is held; 0s: refused
    only_way: bool = False  # nobody reaches it but through hoop, says whoever wrote this
    max_duration: Duration = "8h"
    durability: Durability = Durability.KERNEL
    functions: frozenset[str] = frozenset()  # functions known to be harmless here
    record_text: Literal["masked", "exact"] = "masked"
    record_results: Literal["counts", "all"] | Annotated[int, Field(ge=1)] = "counts"
    max_sessions: int = Field(default=500, ge=1)  # of everybody together
    keep_recordings: Keep | None = None  # None: as [agent] says


def _is_pattern(text: str) -> str:
    """A pattern of RE2."""
    try:
        re2.compile(text)
    except re2.error as problem:
        raise ValueError(f'"{text}" is no pattern (RE2): {problem}') from None
    return text


def _is_window(text: str) -> str:
    Window.parse(text)
    return text


Pattern = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_is_pattern)]
Hours = Annotated[str, AfterValidator(_is_window)]


class Need(Section):
    """``[[roles.NAME.may_request.needs]]``: so many of the votes must be of these."""

    approvers: frozenset[str] = frozenset()  # groups
    people: frozenset[str] = frozenset()
    votes: int = Field(default=1, ge=1)


class Escalation(Section):
    """``[[roles.NAME.may_request.later]]``: who may vote too once a request waits so long."""

    after: Duration
    approvers: frozenset[str] = frozenset()  # groups
    people: frozenset[str] = frozenset()


class Auto(Section):
    """``[[roles.NAME.may_request.auto]]``: granted by the policy itself where all of it holds."""

    name: Name
    groups: frozenset[str] = frozenset()
    targets: tuple[str, ...] = ()  # patterns
    scope: str | None = None
    max: Duration | None = None
    hours: tuple[Hours, ...] = ()
    ticket: Pattern | None = None
    priorities: frozenset[Priority] = frozenset()
    on_call: Path | None = None  # a file with the names of who is on call, one a line
    extensions: bool = False
    read_only: bool = False
    masked: bool = False
    max_rows: int | None = Field(default=None, ge=1)  # an hour


class Reasons(Section):
    """``[roles.NAME.may_request.reasons]``: what a reason and a ticket must be like."""

    min_length: int = Field(default=1, ge=1, le=500)
    refuse: frozenset[str] = frozenset()
    ticket: Pattern | None = None


class Eligibility(Section):
    """``[[roles.NAME.may_request]]`` of roles.toml."""

    targets: tuple[str, ...]  # patterns
    scope: str = "*.*:*"
    max: Duration = "2h"
    approvers: frozenset[str] = frozenset()  # groups
    people: frozenset[str] = frozenset()  # who may vote by name: e-mail address, subject or id
    owners: bool = False  # whether the target's owners may vote
    votes: int = Field(1, ge=0)  # 0: granted at once by the policy
    needs: tuple[Need, ...] = ()
    later: tuple[Escalation, ...] = ()
    auto: tuple[Auto, ...] = ()
    reasons: Reasons = Reasons()
    expires: Duration = "24h"  # a request nobody answers
    starts: Literal["approval", "connect"] = "approval"
    start_within: Duration = "12h"  # of a grant whose time begins with the first connection
    give_back: Duration | None = None  # without a session for so long, it is given back
    ahead: Duration = "7d"  # how far in the future an access may begin
    database_role: RoleName | None = None  # what sessions under such a grant are on the target
    account: RoleName | None = None  # the same of SSH targets
    break_glass: bool = False  # whether it may be had at once in an emergency


class Role(Section):
    groups: frozenset[str]
    may_request: tuple[Eligibility, ...] = ()
    administer: bool = False  # may see, revoke and kill what is not theirs
    audit: bool = False  # may read the whole audit


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
