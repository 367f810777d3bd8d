"""What is left of the budgets of somebody's grants, as ``hoop targets show`` tells it."""

from __future__ import annotations

from collections.abc import Sequence

from hoopagent.api.context import Agent
from hoopagent.circumstances import roles_of
from hoopagent.ledger import oldest
from hoopagent.means import View
from hoopcore.model import EVERYTHING, Principal, Target, Time, rfc3339
from hoopcore.policy import Amount, Budget, Facts, Policy, Spent, ending, free_at


async def budgets_of(
    agent: Agent,
    policy: Policy,
    who: Principal,
    target: Target,
    grants: Sequence[str],
    now: Time,
) -> list[View]:
    """Each budget that may be about this person there, for each of these grants.

    Without a grant, each budget once, unused.  Of who comes from where nothing is known here, so
    budgets for some addresses are among them.  What sessions have used in the last second is not.
    """
    facts = Facts(who, target, EVERYTHING, "", roles=roles_of(agent.config, who))
    budgets = policy.budgets_for(facts, now)
    if not budgets:
        return []
    known = await agent.store.spent(grants, oldest(now)) if grants else {}
    return [
        _view(budget, grant, Spent.of(known.get(grant, {})), now)
        for grant in grants or ("",)
        for budget in budgets
    ]


def _view(budget: Budget, grant: str, spent: Spent, now: Time) -> View:
    total = spent.total(now)
    over = ending((budget,), total)
    return {
        "name": budget.name,
        "reason": budget.reason,
        "on_reaching": budget.action,
        "grant": grant,
        "limits": [_limit(measure, limit, total) for measure, limit in budget.limits()],
        "free_at": None if over is None else rfc3339(free_at(over, spent, now)),
    }


def _limit(measure: str, limit: int, total: Amount) -> View:
    used: int = getattr(total, measure)
    return {"measure": measure, "limit": limit, "used": used, "left": max(0, limit - used)}
