"""Reads the agent's folder and says everything that is wrong with it at once.

Each problem is a ``ConfigError`` with file, line and key.  Nothing here opens a socket or makes a
file, so ``hoop-agent check`` is safe to run anywhere.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hoopagent import config_archive, config_roles, config_store, config_targets
from hoopagent.config import Agent, Config, Identity, Role, TargetSection, Tls, Workload
from hoopagent.config import seconds as seconds  # many ask for it here
from hoopcore.masking import Masking
from hoopcore.places import ConfigError, did_you_mean, line_of, lines_of
from hoopcore.policy import load as load_rules

FILES = ("agent.toml", "targets.toml", "roles.toml", "rules.toml", "masks.toml")

NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,62}"

Shape = TypeVar("Shape", bound=BaseModel)
Trusting = TypeVar("Trusting", Identity, Tls, Workload)


def load(folder: Path) -> Config:
    """The configuration, or the first problem as a ConfigError."""
    config, problems = check(folder)
    if problems or config is None:
        raise problems[0]
    return config


def check(folder: Path) -> tuple[Config | None, list[ConfigError]]:
    """The configuration (None where it cannot be had) and every problem, in the files' order."""
    problems: list[ConfigError] = []
    texts: dict[str, str] = {}
    for name in FILES:
        try:
            texts[name] = (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            said = getattr(problem, "strerror", None) or "it is not UTF-8"
            problems.append(ConfigError(f"cannot be read: {said}", file=name))
    if problems:
        return None, problems
    agent = _section(texts, "agent.toml", ("agent",), Agent, problems, known=("agent", "identity"))
    identity = _section(texts, "agent.toml", ("identity",), Identity, problems)
    targets = _named(texts, "targets.toml", "targets", TargetSection, problems)
    roles = _named(texts, "roles.toml", "roles", Role, problems)
    problems += _cross(texts, targets, roles)
    problems += [] if agent is None else _listening(texts, agent)
    problems += [] if identity is None else _workloads(texts, identity)
    problems += _core(texts)
    if problems or agent is None or identity is None:
        return None, _in_order(problems)
    here = folder.resolve()
    config = Config(
        folder=here,
        agent=agent,
        identity=_believing(here, identity),
        targets={name: _trusting(here, target) for name, target in targets.items()},
        roles=roles,
        rules=texts["rules.toml"],
        masks=texts["masks.toml"],
        version=hashlib.sha256("\0".join(texts[name] for name in FILES).encode()).hexdigest(),
    )
    problems += config_targets.unread(texts[config_targets.FILE], config)
    problems += config_store.problems(texts[config_store.FILE], agent.store, here)
    problems += config_archive.problems(texts[config_archive.FILE], config)
    return (None if problems else config), _in_order(problems)


def _beside(folder: Path, section: Trusting) -> Trusting:
    """The same section, its CA file's path counted from the folder."""
    if section.ca_file is None:
        return section
    return section.model_copy(update={"ca_file": folder / section.ca_file})


def _believing(folder: Path, identity: Identity) -> Identity:
    workloads = tuple(_beside(folder, workload) for workload in identity.workloads)
    return _beside(folder, identity).model_copy(update={"workloads": workloads})


def _trusting(folder: Path, target: TargetSection) -> TargetSection:
    tls = _beside(folder, target.tls)
    files = {"cert_file": tls.cert_file, "key_file": tls.key_file}
    beside = {key: folder / path for key, path in files.items() if path is not None}
    key, known = target.credential.key_file, target.host.known_hosts
    credential = {} if key is None else {"key_file": folder / key}
    host = {} if known is None else {"known_hosts": folder / known}
    return target.model_copy(
        update={
            "tls": tls.model_copy(update=beside),
            "credential": target.credential.model_copy(update=credential),
            "host": target.host.model_copy(update=host),
        }
    )


def _in_order(problems: list[ConfigError]) -> list[ConfigError]:
    return sorted(problems, key=lambda problem: (FILES.index(problem.file), problem.line))


def _parse(texts: dict[str, str], file: str, problems: list[ConfigError]) -> dict[str, Any]:
    try:
        return tomllib.loads(texts[file])
    except tomllib.TOMLDecodeError as problem:
        found = re.search(r"at line (\d+)", str(problem))
        said = re.sub(r" \(at .*\)$", "", str(problem))
        line = int(found[1]) if found else len(texts[file].splitlines())
        error = ConfigError(said, file=file, line=line)
        if not any(p.file == file and p.line == line for p in problems):
            problems.append(error)
        return {}


def _unknown_tables(
    data: dict[str, Any], known: tuple[str, ...], texts: dict[str, str], file: str
) -> list[ConfigError]:
    places = lines_of(texts[file])
    return [
        ConfigError(
            f'unknown table "{key}"{did_you_mean(key, known)}',
            file=file,
            line=line_of(places, (key,)),
            key=key,
        )
        for key in data
        if key not in known
    ]


def _section(
    texts: dict[str, str],
    file: str,
    path: tuple[str, ...],
    model: type[Shape],
    problems: list[ConfigError],
    known: tuple[str, ...] = (),
) -> Shape | None:
    """One table of a file; ``known`` are the tables this file may have."""
    data = _parse(texts, file, problems)
    if known:
        problems += _unknown_tables(data, known, texts, file)
    value = data
    for part in path:
        value = value.get(part, {})
    return _validated(texts, file, path, model, value, problems)


def _named(
    texts: dict[str, str],
    file: str,
    table: str,
    model: type[Shape],
    problems: list[ConfigError],
) -> dict[str, Shape]:
    """``[table.NAME]`` for every name."""
    data = _parse(texts, file, problems)
    problems += _unknown_tables(data, (table,), texts, file)
    found: dict[str, Shape] = {}
    tables = data.get(table, {})
    if not isinstance(tables, dict):
        line = line_of(lines_of(texts[file]), (table,))
        words = f'"{table}" holds tables with a name each: [{table}.NAME]'
        problems.append(ConfigError(words, file=file, line=line, key=table))
        return {}
    for name, value in tables.items():
        if not re.fullmatch(NAME_PATTERN, name):
            line = line_of(lines_of(texts[file]), (table, name))
            words = f'"{name}" is not a name: small letters, digits, dot, dash, at most 63'
            problems.append(ConfigError(words, file=file, line=line, key=name))
            continue
        shaped = _validated(texts, file, (table, name), model, value, problems)
        if shaped is not None:
            found[name] = shaped
    return found


def _validated(
    texts: dict[str, str],
    file: str,
    path: tuple[str, ...],
    model: type[Shape],
    value: Any,
    problems: list[ConfigError],
) -> Shape | None:
    try:
        return model.model_validate(value)
    except ValidationError as found:
        places = lines_of(texts[file])
        for error in found.errors():
            where = (*path, *error["loc"])
            problems.append(_words(error, where, model, file, line_of(places, where)))
        return None


def _words(
    error: Any, where: tuple[Any, ...], model: type[BaseModel], file: str, line: int
) -> ConfigError:
    key = str(where[-1])
    table = ".".join(str(part) for part in where[:-1] if not isinstance(part, int))
    if not table:  # the table itself is none
        return ConfigError(f'"{key}" is a table: [{key}]', file=file, line=line, key=key)
    if error["type"] == "extra_forbidden":
        said = f'unknown key "{key}" in [{table}]{did_you_mean(key, _fields(model))}'
    elif error["type"] == "missing":
        said = f'[{table}] wants a key "{key}"'
    else:
        said = f'"{key}" in [{table}]: {error["msg"].removeprefix("Value error, ")}'
    return ConfigError(said, file=file, line=line, key=key)


def _fields(model: type[BaseModel]) -> set[str]:
    """The names of this table's keys, and of the tables within it."""
    names = set(model.model_fields)
    for field in model.model_fields.values():
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                names |= _fields(inner)
    return names


def _cross(
    texts: dict[str, str], targets: dict[str, TargetSection], roles: dict[str, Role]
) -> list[ConfigError]:
    """What is wrong between two places that are each right."""
    problems: list[ConfigError] = []
    places = lines_of(texts["roles.toml"])
    for name, role in roles.items():
        for number, eligibility in enumerate(role.may_request):
            line = line_of(places, ("roles", name, "may_request", number))

            def wrong(said: str, key: str, line: int = line) -> None:
                problems.append(ConfigError(said, file="roles.toml", line=line, key=key))

            for said, key in config_roles.faults(eligibility):
                wrong(said, key)
            if (fault := config_targets.ssh_roles(targets, eligibility)) is not None:
                wrong(*fault)
    return problems + config_targets.crossed(texts[config_targets.FILE], targets, roles)


def _listening(texts: dict[str, str], agent: Agent) -> list[ConfigError]:
    """Addresses of the agent itself that are none."""
    return [
        ConfigError(
            f'{key} = "{address}" is not host:port',
            file="agent.toml",
            line=line_of(lines_of(texts["agent.toml"]), ("agent", key)),
            key=key,
        )
        for key, address in (("ssh", agent.ssh), ("tcp", agent.tcp))
        if not config_targets.is_address(address)
    ]


def _workloads(texts: dict[str, str], identity: Identity) -> list[ConfigError]:
    """Workloads that could be taken for one another, or a person's token for one of them."""
    problems: list[ConfigError] = []
    places = lines_of(texts["agent.toml"])
    names = [workload.name for workload in identity.workloads]
    for number, workload in enumerate(identity.workloads):

        def wrong(said: str, key: str, number: int = number) -> None:
            line = line_of(places, ("identity", "workloads", number, key))
            problems.append(ConfigError(said, file="agent.toml", line=line, key=key))

        if workload.name in names[:number]:
            wrong(f'there are two workloads "{workload.name}"', "name")
        ours = workload.issuer in ("", identity.issuer)
        if ours and workload.audience == identity.client_id:
            wrong(
                f'audience "{workload.audience}" is that of people, whose tokens would do here',
                "audience",
            )
    return problems


def _core(texts: dict[str, str]) -> list[ConfigError]:
    """What the core says of the rules and the masks."""
    problems = _rules(texts["rules.toml"])
    try:
        Masking.load(texts["masks.toml"])
    except ValueError as problem:
        line = int(getattr(problem, "line", 0) or 0)
        said = str(getattr(problem, "message", problem))
        key = str(getattr(problem, "key", ""))
        problems.append(ConfigError(said, file="masks.toml", line=line, key=key))
    return problems


def _rules(text: str) -> list[ConfigError]:
    """Everything that is wrong with the rules."""
    _, wrong = load_rules(text)
    return [
        ConfigError(one.message, file="rules.toml", line=one.line, key=one.key) for one in wrong
    ]
