"""Who am I here, until when, and what is this agent."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter, Request

from hoopagent.api.budgets import budgets_of
from hoopagent.api.context import Agent, Who
from hoopagent.means import View, targets_of
from hoopcore import versions
from hoopcore.access import holds
from hoopcore.model import Principal, rfc3339
from hoopcore.policy import Policy


def router(agent: Agent) -> APIRouter:
    """``GET /v1/status`` and ``POST /v1/logout``."""
    routes = APIRouter(prefix="/v1")

    @routes.get("/status")
    async def status(who: Who, request: Request) -> dict[str, Any]:
        token = await agent.identity.status(request.state.token)
        return {
            "agent": agent.config.agent.ssh,
            "version": agent.version,
            "api": str(versions.ours()),
            "policy_version": agent.config.version,
            "now": rfc3339(agent.clock()),
            "principal": {
                "id": who.id,
                "name": who.name,
                "email": who.email,
                "kind": who.kind.value,
                "owner": who.owner,
                "groups": sorted(who.groups),
                "roles": sorted(agent.roles(who)),
            },
            "budgets": await _budgets(agent, who),
            "identity_until": rfc3339(await agent.store.identity_until(who.id)),
            "token_expires": rfc3339(token.expires),
            "keys": {"recording_public": base64.b64encode(agent.recording_key).decode()},
        }

    @routes.post("/logout")
    async def logout(who: Who, request: Request) -> dict[str, Any]:
        await agent.identity.logout(request.state.token)
        return {}

    return routes


async def _budgets(agent: Agent, who: Principal) -> list[View]:
    """Of all grants of theirs that hold now."""
    now = agent.clock()
    found: list[View] = []
    policy = Policy.load(agent.config.rules)
    if not policy.budgets:
        return found
    held = await agent.store.grants(principal=who.id, live_at=now)
    for name, target in sorted(targets_of(agent.config).items()):
        mine = [grant.id for grant in held if holds(grant, target, now)]
        if mine:
            budgets = await budgets_of(agent, policy, who, target, mine, now)
            found += [{"target": name, **one} for one in budgets]
    return found
