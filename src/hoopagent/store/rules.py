"""Rules of requests, voters, limits and what is soft, as the JSON that the store keeps, and back.

A rule is kept as it was.  What a rule does not have is left out, so that a row of an older agent
and one of ours read alike; and what a newer one added and this one does not know is refused, since
a threshold must not be lost in reading.
"""

from __future__ import annotations

import json
from typing import Any

from hoopcore.model import ApprovalRule, Scope, Soft
from hoopcore.voters import NO_LIMITS, NO_VOTERS, Escalation, Limits, Need, Voters

_KNOWN = frozenset(
    {
        "name",
        "approvers",
        "votes",
        "max_duration",
        "database_role",
        "people",
        "needs",
        "later",
        "auto",
        "because",
        "limits",
        "start_within",
        "give_back",
    }
)


def rule_text(rule: ApprovalRule) -> str:
    """The rule as it was, in JSON with its keys in order."""
    kept: dict[str, Any] = {
        "approvers": sorted(rule.approvers),
        "max_duration": rule.max_duration,
        "name": rule.name,
        "votes": rule.votes,
    }
    added = {
        "database_role": rule.database_role,
        "people": sorted(rule.people),
        "needs": [{**_voters(need.voters), "votes": need.votes} for need in rule.needs],
        "later": [{**_voters(one.voters), "after": one.after} for one in rule.later],
        "auto": rule.auto,
        "because": rule.because,
        "limits": _limits(rule.limits),
        "start_within": rule.start_within,
        "give_back": rule.give_back,
    }
    kept |= {key: value for key, value in added.items() if value not in ("", None, [], {})}
    return json.dumps(kept, sort_keys=True)


def rule_of(text: str) -> ApprovalRule:
    """ValueError where there is something in it that this agent does not know."""
    kept: dict[str, Any] = json.loads(text)
    unknown = sorted(kept.keys() - _KNOWN)
    if unknown:
        raise ValueError(f"a rule of a newer agent: {unknown}")
    return ApprovalRule(
        name=kept["name"],
        approvers=frozenset(kept["approvers"]),
        votes=kept["votes"],
        max_duration=kept["max_duration"],
        database_role=kept.get("database_role", ""),
        people=frozenset(kept.get("people", ())),
        needs=tuple(Need(_voters_of(one), one["votes"]) for one in kept.get("needs", ())),
        later=tuple(Escalation(one["after"], _voters_of(one)) for one in kept.get("later", ())),
        auto=kept.get("auto", ""),
        because=kept.get("because", ""),
        limits=_limits_of(kept.get("limits", {})),
        start_within=kept.get("start_within"),
        give_back=kept.get("give_back"),
    )


def voters_text(voters: Voters) -> str:
    """Empty where there is nobody."""
    return json.dumps(_voters(voters), sort_keys=True) if voters else ""


def voters_of(text: str) -> Voters:
    return _voters_of(json.loads(text)) if text else NO_VOTERS


def limits_text(limits: Limits) -> str:
    """Empty where there is none."""
    return json.dumps(_limits(limits), sort_keys=True) if limits else ""


def limits_of(text: str) -> Limits:
    return _limits_of(json.loads(text)) if text else NO_LIMITS


def _voters(voters: Voters) -> dict[str, Any]:
    return {"groups": sorted(voters.groups), "people": sorted(voters.people)}


def _voters_of(kept: dict[str, Any]) -> Voters:
    return Voters(frozenset(kept["groups"]), frozenset(kept["people"]))


def _limits(limits: Limits) -> dict[str, Any]:
    found = {"read_only": limits.read_only, "masked": limits.masked, "rows": limits.rows}
    return {key: value for key, value in found.items() if value not in (False, None)}


def _limits_of(kept: dict[str, Any]) -> Limits:
    return Limits(kept.get("read_only", False), kept.get("masked", False), kept.get("rows"))


def soft_text(soft: Soft | None) -> str:
    """Empty where there is none."""
    kept = None if soft is None else {"scope": str(soft.scope), "until": soft.until}
    return "" if kept is None else json.dumps(kept, sort_keys=True)


def soft_of(text: str) -> Soft | None:
    """ValueError, or KeyError, where it is not what ``soft_text`` wrote."""
    if not text:
        return None
    kept = json.loads(text)
    return Soft(Scope.parse(kept["scope"]), int(kept["until"]))
