"""Who am I here, until when, and what is this agent."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter, Request

from hoopagent.api.context import Agent, Who
from hoopcore import versions
from hoopcore.model import rfc3339


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
            "identity_until": rfc3339(await agent.store.identity_until(who.id)),
            "token_expires": rfc3339(token.expires),
            "keys": {"recording_public": base64.b64encode(agent.recording_key).decode()},
        }

    @routes.post("/logout")
    async def logout(who: Who, request: Request) -> dict[str, Any]:
        await agent.identity.logout(request.state.token)
        return {}

    return routes
