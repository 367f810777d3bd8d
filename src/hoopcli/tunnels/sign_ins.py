"""Who we are at each agent: renewed in time, and forgotten when it is over."""

from __future__ import annotations

import asyncio
import os

from hoopcli import signin
from hoopcli.signin import Session
from hoopcli.tunnels import records
from hoopcli.tunnels.link import Signed
from hoopcli.tunnels.records import Record
from hoopcore.protocols.postgres import scram


class SignIns:
    """One for each agent.  What blocks (a keyring, a provider) has a thread of its own."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._signing: dict[str, asyncio.Lock] = {}
        self._making = asyncio.Lock()
        self._verifiers: dict[tuple[Record, str], scram.Verifier] = {}

    def known(self) -> set[str]:
        """The agents for which there is one."""
        return {*self._sessions}

    def forget(self, agent: str) -> None:
        """Somebody signed in or out there: what was known counts no more."""
        self._sessions.pop(agent, None)

    async def session(self, agent: str) -> Session:
        """The sign-in there, renewed if that is due.  Failure where there is none any more."""
        async with self._signing.setdefault(agent, asyncio.Lock()):
            session = self._sessions.get(agent)
            if session is None:
                session = await asyncio.to_thread(signin.session, agent)
            await asyncio.to_thread(session.token)
            self._sessions[agent] = session
            return session

    async def signed(self, agent: str) -> Signed:
        """The same, as SSH wants it."""
        session = await self.session(agent)
        kept = session.credentials()
        place, host_key = session.place, session.pin.host_key
        return Signed(place, host_key, kept.principal, kept.key, kept.certificate)

    async def password(self, record: Record) -> str:
        """The password of a tunnel that stays: another one for each principal."""
        session = await self.session(record.agent)
        async with self._making:  # the first one makes the secret of all others
            secret = await asyncio.to_thread(records.secret, session.vault)
        principal = session.credentials().principal
        return records.password(secret, session.pin.host_key, principal, record)

    async def verifier(self, record: Record) -> scram.Verifier:
        """What that password is checked with."""
        session = await self.session(record.agent)
        key = record, session.credentials().principal
        if key not in self._verifiers:
            password = await self.password(record)
            self._verifiers[key] = scram.make_verifier(password, os.urandom(16))
        return self._verifiers[key]
