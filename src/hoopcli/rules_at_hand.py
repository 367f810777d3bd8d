"""The agent's folder of files, as far as its rules can be checked and tried without an agent.

The files are read here, what they mean is the core's (``hoopcore.policy``).

Order: the files, checking them, trying them, who may reach something by them.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from hoopcli.errors import Failure, fail, usage
from hoopcli.options import choice
from hoopcli.view import clean

if TYPE_CHECKING:
    from hoopcore.model import Scope, Time
    from hoopcore.policy import Facts, Place, Surroundings
    from hoopcore.reach import Offer
    from hoopcore.reach import Place as ReachPlace

RULES = "rules.toml"


def folder_of(given: Path | None) -> Path:
    """The folder that is meant: given, $HOOP_AGENT_CONFIG, or ./hoop-agent.d."""
    found = given or Path(os.environ.get("HOOP_AGENT_CONFIG") or "hoop-agent.d")
    if found.is_file():
        return found.parent
    if not found.is_dir():
        hint = "Say where the agent's files are; hoop-agent init writes commented ones."
        usage(f"there is no folder {clean(found)}", hint)
    return found


def rules_in(folder: Path, given: Path | None = None) -> str:
    """The text of the rules: of rules.toml in the folder, or of the file that was given."""
    path = given if given is not None and given.is_file() else folder / RULES
    text = _text(path)
    if text is None:
        fail(f"there is no {RULES} in {clean(folder)}")
    return text


def around(folder: Path) -> Surroundings:
    """The names in the other files; of those that are there."""
    from hoopcore.policy import surroundings

    return surroundings(_text(folder / "targets.toml"), _text(folder / "roles.toml"))


def _text(path: Path) -> str | None:
    """The file's text, or None where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        fail(f"{clean(path)} is not UTF-8")
    except OSError as problem:
        raise Failure(f"cannot read {clean(path)}: {problem.strerror}") from problem


def needs_grammar(missing: ModuleNotFoundError) -> NoReturn:
    """Reading statements takes PostgreSQL's grammar, which the base install does without."""
    hint = "pip install 'hoopcli[agent]' brings it."
    raise Failure(f"reading statements needs {missing.name}, which is not installed", hint)


# --- checking -------------------------------------------------------------------------------------

_KINDS = ("rule", "budget", "impose")


class Remark(NamedTuple):
    """What is wrong, or doubtful, with one entry of rules.toml."""

    level: str  # "error" or "doubt"
    line: int  # 0: nobody knows
    rule: str
    key: str
    message: str


def remarks(text: str, around: Surroundings) -> list[Remark]:
    """Every error, or where there is none every doubt, in the order of the lines."""
    from hoopcore.places import line_of, lines_of
    from hoopcore.policy import Policy, doubts, load

    found, problems = load(text)
    if problems:
        return [Remark("error", p.line, p.rule, p.key, p.message) for p in problems]
    policy = Policy(found.rules, found.budgets, found.impositions)
    told = [(one.rule, one.key, one.message) for one in doubts(policy, around)]
    paths: dict[str, tuple[str, int]] = {}
    for kind, index, entry in _entries(text):
        paths[entry["name"]] = (kind, index)
        told += [
            (entry["name"], "", f"it has no {key.replace('_', ' ')}")
            for key in ("example", "counter_example")
            if kind == "rule" and key not in entry
        ]
    places = lines_of(text)
    located = []
    for name, key, words in told:
        path = (*paths[name], key) if key else paths[name]
        located.append(Remark("doubt", line_of(places, path), name, key, words))
    return sorted(located, key=lambda remark: remark.line)


def entries(text: str) -> int:
    """How many rules, budgets and impositions a right text has."""
    return len(_entries(text))


def _entries(text: str) -> list[tuple[str, int, dict[str, Any]]]:
    import tomllib

    data = tomllib.loads(text)
    return [(kind, i, one) for kind in _KINDS for i, one in enumerate(data.get(kind, []))]


# --- trying ---------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """What ``hoop policy try`` was told of a session.  None: not told, so it is not known."""

    on: str
    name: str
    groups: list[str] | None = None
    roles: list[str] | None = None
    kind: str | None = None
    priority: str | None = None
    address: str | None = None
    labels: list[str] | None = None
    scope: str = "*.*:*"


def facts_of(asked: Asked, around: Surroundings) -> Facts:
    """The facts of such a session; a usage error where something told cannot be meant."""
    from hoopcore.model import Kind, Principal, Priority
    from hoopcore.policy import Facts

    kind = Kind(choice("--kind", asked.kind, Kind)) if asked.kind else Kind.HUMAN
    priority = Priority(choice("--priority", asked.priority, Priority)) if asked.priority else None
    groups = frozenset(asked.groups or ())
    roles = around.roles_of(groups) if asked.groups else None
    place = _place(asked, around)
    return Facts(
        Principal("", kind, "", asked.name, groups=groups),
        place.target,
        _scope(asked.scope),
        "",
        pooled=place.pooled,
        roles=frozenset(asked.roles) if asked.roles else roles,
        priorities=None if priority is None else frozenset({priority}),
        address=_address(asked.address),
        groups_known=asked.groups is not None,
    )


def _place(asked: Asked, around: Surroundings) -> Place:
    from hoopcore.model import Target
    from hoopcore.policy import Place

    place = (around.places or {}).get(asked.on)
    if around.places is not None and place is None:
        known = ", ".join(sorted(around.places)) or "none"
        usage(f'targets.toml has no target "{clean(asked.on)}"', f"It has: {known}")
    if place is None:
        place = Place(Target(asked.on, "postgres", ()))
    labels = dict(place.target.labels) | dict(map(_pair, asked.labels or ()))
    return replace(place, target=replace(place.target, labels=tuple(sorted(labels.items()))))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        usage(f"--label: '{clean(text)}' is not NAME=VALUE")
    return name, value


def _scope(text: str) -> Scope:
    from hoopcore.model import Scope

    try:
        return Scope.parse(text)
    except ValueError as problem:
        usage(f"--scope: {clean(problem)}")


def _address(text: str | None) -> str | None:
    from hoopcore.policy import LOCAL
    from hoopcore.policy.about import address_of

    if text is not None and text != LOCAL and address_of(text) is None:
        usage(f"--from: '{clean(text)}' is no IP address, nor the word local")
    return text


def tried(rules: str, asked: Asked, around: Surroundings, text: bytes, now: Time) -> dict[str, Any]:
    """The verdict of these rules on a text, and what was seen in it.

    A long text could kill the parser, so it is not read here.
    """
    from hoopcore.model import rfc3339
    from hoopcore.places import ConfigError
    from hoopcore.policy import Policy, explain
    from hoopcore.sql.imposed import for_startup
    from hoopcore.sql.postgres import IN_PROCESS, read

    if len(text) > IN_PROCESS:
        usage(f"a statement to try has at most {IN_PROCESS} bytes; this one has {len(text)}")
    try:
        policy = Policy.load(rules)
    except ConfigError as problem:
        hint = "All that is wrong:  hoop policy check"
        fail(f"{RULES}:{problem.line}: {clean(problem.message)}", hint)
    facts = facts_of(asked, around)
    facts = replace(facts, imposed=policy.imposed(facts, now))
    bound = policy.bind(facts, now)
    reading = read(text, functions=_place(asked, around).functions)
    return explain(bound, reading, now) | {
        "at": rfc3339(now),
        "budgets": [budget.name for budget in bound.budgets],
        "imposed": for_startup(facts.imposed, {}),
    }


# --- who may reach something ----------------------------------------------------------------------


def reached(folder: Path, place: ReachPlace, target: str | None) -> dict[str, Any]:
    """Who may ask for what reaches it, by the files alone: groups, since nobody knows the people.

    A usage error where there is no such target; Failure where a file is wrong.
    """
    from hoopcore.masking import Masking
    from hoopcore.places import ConfigError
    from hoopcore.policy import Policy
    from hoopcore.reach import facts_in, member_of, offers_in, reach

    known = around(folder)
    if target is not None and target not in (known.places or {}):
        have = ", ".join(sorted(known.places or ())) or "none"
        usage(f'targets.toml has no target "{clean(target)}"', f"It has: {have}")
    try:
        policy = Policy.load(rules_in(folder))
        masking = Masking.load(_text(folder / "masks.toml") or "")
        offers = offers_in(_text(folder / "roles.toml") or "")
    except (ConfigError, ValueError) as problem:
        fail(f"{clean(folder)}: {clean(problem)}", "All that is wrong:  hoop-agent check")
    ways = []
    for name, one in sorted((known.places or {}).items()):
        for offer in offers:
            if target not in (None, name) or not offer.covers(name):
                continue
            for group in sorted(offer.groups):
                roles = known.roles_of(frozenset({group})) or frozenset()
                facts = facts_in(one.target, offer.scope, member_of(group), roles)
                answer = reach(place, facts, policy, masking)
                if answer is not None:
                    ways.append({"target": name, "way": "offer", **_offer(offer, group), **answer})
    return {"place": str(place), "ways": ways, "detectors": list(masking.detectors)}


def _offer(offer: Offer, group: str) -> dict[str, Any]:
    return {
        "role": offer.role,
        "database_role": offer.database_role,
        "votes": offer.votes,
        "approvers": sorted(offer.approvers),
        "group": group,
        "people": [],
        "alone": False,
    }
