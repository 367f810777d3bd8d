"""A verdict and what it rests on, as plain values for people and for JSON."""

from __future__ import annotations

from typing import Any

from hoopcore.model import Time
from hoopcore.policy.deciding import BoundPolicy
from hoopcore.policy.facts import Facts, Verdict
from hoopcore.policy.rules import Rule
from hoopcore.statement import Reading, Statement


def explain(bound: BoundPolicy, reading: Reading, now: Time | None = None) -> dict[str, Any]:
    """The verdict on a message, on each of its statements, and what was seen in them."""
    whole = bound.decide(reading)
    known = bound.facts.known(now)
    count = len(reading.statements)
    return {
        **_told(whole),
        "hint": whole.hint,
        "statement": whole.statement + 1 if not whole.allowed else None,
        "unread": reading.why,
        "statements": [
            {
                **_seen(statement),
                **_told(verdict),
                "matching": [
                    f"{rule.name} ({rule.verdict})"
                    for rule in sorted(bound.policy.rules, key=lambda rule: rule.name)
                    if rule.applies(known) and _matches(rule, statement, count)
                ],
            }
            for statement, verdict in zip(reading.statements, bound.each(reading), strict=True)
        ],
        "elsewhere": sorted(rule.name for rule in bound.policy.rules if not rule.applies(known)),
        "not_known": _not_known(bound.facts, now),
    }


def _told(verdict: Verdict) -> dict[str, Any]:
    return {"verdict": verdict.word, "rule": verdict.rule, "reason": verdict.reason}


def _matches(rule: Rule, statement: Statement, count: int) -> bool:
    if rule.verdict == "allow":
        return any(rule.surely_allows(statement, effect, count) for effect in statement.effects)
    return rule.may_match(statement, count)


def _seen(statement: Statement) -> dict[str, Any]:
    return {
        "tag": statement.tag,
        "effects": sorted(statement.effects),
        "ddl": sorted(statement.ddl),
        "relations": sorted(
            f"{touch.relation.schema or '*'}.{touch.relation.name}:{touch.effect}"
            for touch in statement.touches
        ),
        "columns": sorted(statement.columns),
        "filters": sorted(statement.filters),
        "whole_rows": statement.guises or "*" in statement.columns,
        "functions": sorted(statement.functions),
        "missing_where": sorted(statement.unbounded),
        "missing_limit": statement.unlimited,
        "reaches_more": statement.opaque,
    }


def _not_known(facts: Facts, now: Time | None) -> list[str]:
    known = facts.known(now)
    names = ("groups", "roles", "kind", "priorities", "address", "at")
    return [name for name in names if getattr(known, name) is None]
