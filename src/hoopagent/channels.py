"""Where a channel of the SSH door leads: to a target, or to the control API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn

from hoopagent.api.server import ChannelProtocol
from hoopagent.config import Config
from hoopagent.doors.login import Caller, Identified, greet
from hoopagent.errors import Refused
from hoopagent.everywhere import Everywhere
from hoopagent.lane import Lane
from hoopcore.model import Principal


class Channels:
    """Opened by the SSH door for a principal who has proved the key of a certificate."""

    def __init__(
        self, config_now: Callable[[], Config], everywhere: Everywhere, api: uvicorn.Server
    ) -> None:
        self._config_now = config_now
        self._everywhere = everywhere
        self._api: Any = api  # what it is configured with fits its own protocols only
        self._group: asyncio.TaskGroup | None = None

    def begin(self, group: asyncio.TaskGroup) -> None:
        """From now on sessions can be opened; they run in ``group``."""
        self._group = group

    async def open_lane(self, principal: Principal, target: str, peer: str) -> asyncio.Protocol:
        """The client's end of a new session on ``target``.  Refused where there is none."""
        section = self._config_now().targets.get(target)
        if section is None:
            raise Refused(404, "no_target", f'there is no target "{target}"', "hoop targets")
        if section.protocol == "ssh":
            words = f'target "{target}" is reached with: ssh -l NAME+{target}'
            raise Refused(409, "no_database", words, "hoop config ssh")
        assert self._group is not None, "the door opens after begin()"
        caller = Caller(principal, target, "ssh", peer)
        lane = Lane()
        self._group.create_task(
            greet(
                lane,
                lambda user: Identified(caller, None),
                self._everywhere,
                principal=principal.id,
            )
        )
        return lane

    async def open_api(self, principal: Principal, peer: str) -> asyncio.Protocol:
        """The control API, which knows who asks by the certificate."""
        made = ChannelProtocol(
            config=self._api.config, server_state=self._api.server_state, app_state={}
        )
        made.principal = principal.id
        return made
