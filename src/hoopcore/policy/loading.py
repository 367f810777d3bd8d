"""rules.toml → rules, budgets and impositions, or everything that is wrong with it.

Order: the file, then an entry of each kind.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hoopcore.places import Path, did_you_mean, line_of, lines_of
from hoopcore.policy import entries
from hoopcore.policy.budgets import ACTIONS, MEASURES, Budget
from hoopcore.policy.entries import WHO, Entry, RuleError, chosen
from hoopcore.policy.examples import check_examples
from hoopcore.policy.impositions import Imposition
from hoopcore.policy.rules import HOLD_WAIT, NEEDS_ALLOWANCE, STRENGTHS, Rule
from hoopcore.policy.scope import NARROWED, SCOPE
from hoopcore.sql.imposed import IMPOSED, Imposed
from hoopcore.sql.session import POOLER, ROLE

T = TypeVar("T", Rule, Budget, Imposition)

RESERVED = frozenset(
    {SCOPE, NARROWED, POOLER, ROLE, IMPOSED, *(name for name, _ in NEEDS_ALLOWANCE.values())}
)
"""Names of what hoop refuses by itself; and every name that begins with ``mask-``."""

RULE_KEYS = (
    *("name", "reason", "verdict", *WHO, "unless", "effects", "relations", "columns", "functions"),
    *("missing_where", "missing_limit", "filters_masked", "ddl", "statements_above"),
    *("commands", "paths", "transfers", "larger_than", "containing"),
    *("approvers", "votes", "wait", "example", "counter_example"),
)
_OF_HOSTS = ("commands", "paths", "transfers", "larger_than", "containing")
BUDGET_KEYS = ("name", "reason", *WHO, "unless", *MEASURES, "on_reaching")
_TIMEOUTS = ("statement_timeout", "idle_in_transaction_session_timeout")
IMPOSE_KEYS = (
    *("name", "reason", *(key for key in WHO if key != "times"), "unless"),
    *(*_TIMEOUTS, "read_only"),
)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Found:
    """All that a file has, as far as it is right."""

    rules: tuple[Rule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    impositions: tuple[Imposition, ...] = ()


def load(text: str) -> tuple[Found, list[RuleError]]:
    """What the file says, and every problem in the order of its lines.  With one, use neither."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        found = re.search(r"at line (\d+)", str(problem))
        line = int(found[1]) if found else len(text.splitlines())
        said = re.sub(r" \(at .*\)$", "", str(problem))
        return Found(), [RuleError(said, line=line, key="")]
    places = lines_of(text)
    problems: list[RuleError] = []
    kinds = ("rule", "budget", "impose")
    for key in data:
        if key not in kinds:
            message = f'unknown key "{key}"{did_you_mean(key, kinds)}'
            problems.append(RuleError(message, line=line_of(places, (key, 0)), key=key))
    names: dict[str, Entry] = {}
    got = Found(
        _all("rule", _rule, data, places, problems, names),
        _all("budget", _budget, data, places, problems, names),
        _all("impose", _imposition, data, places, problems, names),
    )
    return got, sorted(problems, key=lambda problem: problem.line)


def _all(
    kind: str,
    read: Callable[[Entry], T],
    data: Mapping[str, Any],
    places: Mapping[Path, int],
    problems: list[RuleError],
    names: dict[str, Entry],
) -> tuple[T, ...]:
    tables = data.get(kind, [])
    if not isinstance(tables, list):
        line = line_of(dict(places), (kind,))
        problems.append(RuleError(f"a {kind} stands under [[{kind}]]", line=line, key=kind))
        return ()
    found = []
    for index, table in enumerate(tables):
        entry = Entry(table, (kind, index), places, problems)
        if not entry.sound:
            continue
        one = read(entry)
        if one.name in names:
            entry.wrong("name", f'there are two rules named "{one.name}"')
        if one.name:
            names.setdefault(one.name, entry)
        if entry.sound:
            found.append(one)
    return tuple(found)


def _name(value: Any) -> str:
    name = entries.text(value)
    if not _NAME.fullmatch(name) or name in RESERVED or name.startswith("mask-"):
        raise ValueError(f'"{name}" cannot name a rule: a-z, 0-9, ".", "_", "-"')
    return name


def _rule(entry: Entry) -> Rule:
    entry.check_keys(RULE_KEYS)
    verdict = entry.need(
        "verdict", lambda word: chosen(word, {s: s for s in STRENGTHS}, "verdict"), "refuse"
    )
    if verdict == "allow" and "effects" not in entry.table:
        entry.wrong("", 'an allowance names its "effects"')
    for key in _OF_HOSTS if verdict == "allow" else ():
        if key in entry.table:
            entry.wrong(
                key, f'"{key}" is for a rule that refuses or holds; a scope allows commands'
            )
    for key in ("approvers", "votes", "wait") if verdict != "hold" else ():
        if key in entry.table:
            entry.wrong(key, f'"{key}" is for a rule whose verdict is "hold"')
    rule = Rule(
        name=entry.need("name", _name, ""),
        reason=entry.need("reason", entries.text, ""),
        verdict=verdict,
        about=entry.about(),
        unless=entry.unless(),
        effects=entry.take("effects", entries.effects, frozenset()),
        relations=entry.take("relations", entries.relations, ()),
        columns=entry.take("columns", entries.columns, ()),
        functions=entry.take("functions", entries.functions, ()),
        missing_where=entry.take("missing_where", entries.flag, False),
        missing_limit=entry.take("missing_limit", entries.flag, False),
        filters_masked=entry.take("filters_masked", entries.flag, False),
        ddl=entry.take("ddl", entries.ddl, ()),
        statements_above=entry.take("statements_above", entries.count, 0),
        commands=entry.take("commands", entries.commands, ()),
        paths=entry.take("paths", entries.paths, ()),
        transfers=entry.take("transfers", entries.transfers, frozenset()),
        larger_than=entry.take("larger_than", entries.size, 0),
        containing=entry.take("containing", entries.kinds, frozenset()),
        approvers=entry.take("approvers", entries.groups, frozenset()),
        votes=entry.take("votes", entries.count, 1),
        wait=entry.take("wait", entries.wait, HOLD_WAIT),
    )
    if entry.sound:
        check_examples(rule, entry)
    return rule


def _budget(entry: Entry) -> Budget:
    entry.check_keys(BUDGET_KEYS)
    budget = Budget(
        name=entry.need("name", _name, ""),
        reason=entry.need("reason", entries.text, ""),
        action=entry.need(
            "on_reaching", lambda word: chosen(word, {a: a for a in ACTIONS}, "action"), "end"
        ),
        about=entry.about(),
        unless=entry.unless(),
        rows=entry.take("rows", entries.count, None),
        bytes=entry.take("bytes", entries.size, None),
        sensitive=entry.take("sensitive", entries.count, None),
        statements=entry.take("statements", entries.count, None),
    )
    if entry.sound and not budget.limits():
        entry.wrong("", f"a budget limits something an hour: {', '.join(MEASURES)}")
    return budget


def _imposition(entry: Entry) -> Imposition:
    entry.check_keys(IMPOSE_KEYS)
    statement, idle = (entry.take(key, entries.span, 0) for key in _TIMEOUTS)
    settings = Imposed(statement, idle, entry.take("read_only", entries.flag, False))
    if entry.sound and not settings:
        entry.wrong("", f"nothing is imposed: {', '.join((*_TIMEOUTS, 'read_only'))}")
    return Imposition(
        name=entry.need("name", _name, ""),
        reason=entry.need("reason", entries.text, ""),
        settings=settings,
        about=entry.about(times=False),
        unless=entry.unless(times=False),
    )
