"""What somebody who decides should see beside the request: history, contents, risk.

Nothing here decides anything.  It says what was true when it was asked for; a digest of it is kept
with the vote, so that later nobody has to wonder what the voter knew.

Order of the file: all of it, history, contents, risk.
"""

from __future__ import annotations

import hashlib
import json

from hoopagent.means import Means, View, time_or_none
from hoopcore.masking import Masking
from hoopcore.model import EVERYTHING, READS, Principal, Request, Scope, Target, Tier, rfc3339

_LAST = 5  # grants that are told of


async def shown(means: Means, request: Request) -> View:
    """History, contents and risk of a request, and a digest of them."""
    asker = await means.store.principal(request.requester)
    target = means.target(request.target)
    history = await _history(means, request)
    contains = _contents(means, request.scope, asker)
    found = {
        "request": request.id,
        "history": history,
        "contains": contains,
        "risk": _risk(request, target, history, contains),
    }
    text = json.dumps(found, sort_keys=True, ensure_ascii=False)
    return {**found, "digest": hashlib.sha256(text.encode()).hexdigest()}


# --- history --------------------------------------------------------------------------------------


async def _history(means: Means, request: Request) -> list[View]:
    """Their last grants there, newest end first, and whether anything was done with them."""
    store = means.store
    grants = await store.grants(principal=request.requester, target=request.target, limit=_LAST)
    found = []
    for grant in grants:
        sessions = await store.sessions(grant=grant.id)
        found.append(
            {
                "grant": grant.id,
                "scope": str(grant.scope),
                "state": grant.state.value,
                "from": rfc3339(grant.not_before),
                "until": rfc3339(grant.ended_at or grant.ends),
                "last_used": time_or_none(max((one.started for one in sessions), default=None)),
                "sessions": len(sessions),
                "statements": sum(one.statements for one in sessions),
            }
        )
    return found


# --- contents -------------------------------------------------------------------------------------


def _contents(means: Means, scope: Scope, asker: Principal | None) -> View:
    """What the scope holds of what is masked, and what of it the asker sees in clear."""
    groups = frozenset[str]() if asker is None else asker.groups
    masks = Masking.load(means.config_now().masks).masks
    held = [mask for mask in masks if _holds(scope, mask.column)]
    clear = {mask.column for mask in held if mask.exempt & groups}
    return {
        "tables": sorted({f"{atom.schema}.{atom.table}" for atom in scope.atoms}),
        "verbs": sorted({atom.verb for atom in scope.atoms}),
        "masked": sorted({mask.column for mask in held} - clear),
        "in_clear": sorted(clear),
    }


def _holds(scope: Scope, column: str) -> bool:
    """Whether a masked column may be in the scope; patterns count as all they may mean."""
    parts = column.split(".")
    schema, table = (parts[0], parts[1]) if len(parts) == 3 else ("*", parts[0])
    return any(_may_be(atom.schema, schema) and _may_be(atom.table, table) for atom in scope.atoms)


def _may_be(one: str, other: str) -> bool:
    return "*" in (one, other) or one == other or "*" in other or "?" in other


# --- risk -----------------------------------------------------------------------------------------


def _risk(request: Request, target: Target | None, history: list[View], contains: View) -> View:
    """``low``, ``medium`` or ``high``, and each reason for it in words."""
    why = []
    if target is not None and target.tier is Tier.HIGH:
        why.append((2, "the target is of the high tier"))
    if not READS.covers(request.scope):
        why.append((1, "more than reading"))
    if request.scope.covers(EVERYTHING):
        why.append((1, "everything on the target"))
    if contains["in_clear"]:
        why.append((2, f"{len(contains['in_clear'])} masked columns are in clear for them"))
    elif contains["masked"]:
        why.append((0, f"{len(contains['masked'])} masked columns, which stay masked"))
    if not history:
        why.append((1, "their first access there"))
    elif not any(one["sessions"] for one in history):
        why.append((1, f"none of their last {len(history)} grants there was used"))
    if request.rule.max_duration and request.duration >= request.rule.max_duration:
        why.append((0, "for as long as the policy allows"))
    points = sum(weight for weight, _ in why)
    level = "low" if points < 2 else "medium" if points < 4 else "high"
    return {"level": level, "why": [words for _, words in why]}
