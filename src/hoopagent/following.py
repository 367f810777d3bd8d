"""A request as a stream of server-sent events, for whoever waits for it.

Each event is the whole request, so one that was missed is made good by the next; a client that
comes again begins with how it stands now.  The store is looked at twice a second for each of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

from hoopagent.requests import Requests
from hoopagent.store import StoreAway
from hoopcore.model import Principal, RequestState

LOOKED = 0.5  # seconds between two looks
_BEAT = 15.0  # seconds of silence, after which a client may think that nobody is there
_LONGEST = 3600.0  # seconds; then the client comes again

_OPEN = {RequestState.PENDING.value, RequestState.APPROVED.value}


async def follow(
    requests: Requests, viewer: Principal, id: str, stopping: Callable[[], bool]
) -> AsyncIterator[str]:
    """Events until it is decided, or the agent is stopping: then whoever waits comes again.

    The first look is the caller's, so that a no is an answer.
    """
    shown, silent, spent = "", 0.0, 0.0
    while spent < _LONGEST and not stopping():
        try:
            view = await requests.show(viewer, id)
        except StoreAway:
            return  # the client comes again
        text = json.dumps(view, ensure_ascii=False)
        if text != shown:
            shown, silent = text, 0.0
            yield f"event: request\ndata: {text}\n\n"
        elif silent >= _BEAT:
            silent = 0.0
            yield ": still here\n\n"
        if view["state"] not in _OPEN:
            return
        await asyncio.sleep(LOOKED)
        silent, spent = silent + LOOKED, spent + LOOKED
