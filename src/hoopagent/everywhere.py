"""All sessions of an agent: its own, and those of the one it took over from, until they have ended.

What a door asks about new sessions is for our own.  Ending one, and a client's cancel, are for
whoever runs it: a session does not know that its agent was replaced, and neither do people.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from hoopagent.doors.login import Admitted, Caller, LoggedIn
from hoopagent.predecessor import Predecessor
from hoopagent.sessions import Sessions
from hoopcore.stream import Admit, Cancel


class Everywhere:
    """What the doors and the API ask of sessions.  ``do`` answers a successor the same way."""

    def __init__(self, here: Sessions, before: Predecessor | None) -> None:
        self._here = here
        self._before = before

    # --- new ones: ours ---------------------------------------------------------------------------

    async def admit(self, caller: Caller, step: Admit) -> Admitted:
        return await self._here.admit(caller, step)

    async def run(self, login: LoggedIn) -> None:
        await self._here.run(login)

    def abandon(self, admitted: Admitted, why: str) -> None:
        self._here.abandon(admitted, why)

    # --- open ones --------------------------------------------------------------------------------

    async def cancel(self, cancel: Cancel, uid: int | None, principal: str | None) -> None:
        """Passes a client's cancel on; where it is nobody's, nothing happens, silently."""
        await self._here.cancel(cancel, uid, principal)
        secret = base64.b64encode(cancel.secret).decode()
        await self._ask("cancel", pid=cancel.pid, secret=secret, uid=uid, principal=principal)

    async def kill(self, session: str, actor: str, reason: str) -> bool:
        """Ends a live session and waits until it is closed; False where it is not live."""
        if await self._here.kill(session, actor, reason):
            return True
        return bool(await self._ask("kill", session=session, actor=actor, reason=reason))

    async def close_for_grant(self, grant: str) -> list[str]:
        """Closes each live session that rests on no other live grant; their ids."""
        closed = await self._here.close_for_grant(grant)
        before = await self._ask("close_for_grant", grant=grant)
        return closed + [str(one) for one in before or ()]

    async def principal_left(self, principal: str) -> None:
        """Tells the one before that nothing carries this principal's sessions any more."""
        await self._ask("principal_left", principal=principal)

    async def sign_in_ended(self, sign_in: str) -> None:
        """Tells the one before that connections of this sign-in end."""
        await self._ask("sign_in_ended", sign_in=sign_in)

    async def hurry(self) -> None:
        """Nobody wants to wait any more for sessions of the one before."""
        await self._ask("hurry")

    async def _ask(self, do: str, **what: Any) -> Any:
        return None if self._before is None else await self._before.ask(do, **what)

    # --- for a successor --------------------------------------------------------------------------

    async def do(self, asked: dict[str, Any]) -> Any:
        """What a successor's ``Everywhere`` asks; None for what is not for sessions."""
        match asked:
            case {"do": "kill", "session": str(id), "actor": str(actor), "reason": str(reason)}:
                return await self.kill(id, actor, reason)
            case {"do": "close_for_grant", "grant": str(grant)}:
                return await self.close_for_grant(grant)
            case {"do": "cancel", "pid": int(pid), "secret": str(secret)}:
                try:
                    cancel = Cancel(pid, base64.b64decode(secret))
                except binascii.Error:
                    return None
                await self.cancel(cancel, asked.get("uid"), asked.get("principal"))
        return None
