"""Signing in with nothing but ssh: a key that SSH has proved, and then the provider's page.

``ssh -l ana+prod-web`` with a key that is nobody's yet: once its signature is good, the person is
shown a page and a code over keyboard-interactive, and goes in when the provider has said who they
are.  From then on that key is a sign-in of theirs, until it ends.  A key that was only offered
starts nothing.

What is known of keys is in memory: an agent that starts anew asks again.

Order of the file: keys that are somebody's, one connection's way, words.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import asyncssh
import structlog

from hoopagent.device_flow import DeviceFlow, FlowRefused, Shown
from hoopagent.errors import Refused
from hoopagent.identity import Identity
from hoopagent.logs import places
from hoopagent.provider import ProviderAway
from hoopagent.store import StoreAway
from hoopcore.model import Principal, Time

log = structlog.get_logger()

MOST_KEYS = 4096
"""Keys that are known at once; behind that the oldest is asked again."""

MOST_FLOWS, FLOWS_EACH = 64, 4
"""Flows under way at once, in all and of one address."""

PATIENCE = 330.0
"""Seconds that a connection may take from the proof of its key: a flow's longest, and a little."""

Challenge: TypeAlias = "bool | tuple[str, str, str, list[tuple[str, bool]]]"


@dataclass(frozen=True, slots=True)
class Bound:
    """Whose a key is."""

    principal: str
    sign_in: str
    until: Time


class KeySignIns:
    """All keys that are somebody's at this agent, and the flows under way."""

    def __init__(self, identity: Identity, clock: Callable[[], Time]) -> None:
        self.identity = identity
        self._clock = clock
        self._known: dict[bytes, Bound] = {}  # SHA-256 of the public key → whose it is
        self._flows = Counter[str]()
        identity.ended.append(self.forget)
        identity.revoked.append(self._left)

    def find(self, key: asyncssh.SSHKey) -> Bound | None:
        """Whose this key is now.  Whether they are signed in still is asked at each channel."""
        mark = _mark(key)
        bound = self._known.get(mark)
        if bound is not None and bound.until <= self._clock():
            del self._known[mark]
            return None
        return bound

    def keep(self, key: asyncssh.SSHKey, bound: Bound) -> None:
        self._known.pop(_mark(key), None)
        if len(self._known) >= MOST_KEYS:
            del self._known[next(iter(self._known))]
        self._known[_mark(key)] = bound

    def enter(self, whose: str) -> bool:
        """Room for one more flow of this address; who got it gives it back."""
        if self._flows.total() >= MOST_FLOWS or self._flows[whose] >= FLOWS_EACH:
            return False
        self._flows[whose] += 1
        return True

    def leave(self, whose: str) -> None:
        self._flows[whose] -= 1
        if self._flows[whose] <= 0:
            del self._flows[whose]

    def forget(self, sign_in: str) -> None:
        """That sign-in is over."""
        self._drop(lambda bound: bound.sign_in == sign_in)

    def _left(self, principal: str) -> None:
        self._drop(lambda bound: bound.principal == principal)

    def _drop(self, ended: Callable[[Bound], bool]) -> None:
        self._known = {mark: one for mark, one in self._known.items() if not ended(one)}


def _mark(key: asyncssh.SSHKey) -> bytes:
    return hashlib.sha256(key.public_data).digest()


# --- one connection's way -------------------------------------------------------------------------


class ByKey:
    """What one connection has shown and proved; ``bound`` is who it is then."""

    def __init__(self, keys: KeySignIns, user: str, whose: str, peer: str) -> None:
        """``user`` is ``NAME+TARGET``; ``peer`` is told on the audit trail."""
        self._keys = keys
        self._user = user
        self._whose = whose
        self._peer = peer
        self._shown: asyncssh.SSHKey | None = None  # last; nothing is proved by that
        self._proved: asyncssh.SSHKey | None = None
        self._asked = self._placed = False
        self._flow: tuple[DeviceFlow, Shown] | None = None  # under way
        self.bound: Bound | None = None

    def show(self, key: asyncssh.SSHKey) -> bool:
        """Whether to go on with this key.  Called for an offer and for a signature.

        Once a key that is nobody's is proved, another of that kind would lead no further.
        """
        found = self._keys.find(key)
        if key.get_algorithm() != "ssh-ed25519" or (found is None and self._proved is not None):
            return False
        self._shown = key
        return True

    def signed(self) -> bool:
        """The signature of what was shown last is good; whether that is all it takes."""
        assert self._shown is not None, "what was signed with was shown"
        self.bound = self._keys.find(self._shown)
        if self.bound is None:
            self._proved = self._shown
        return self.bound is not None

    @property
    def waits(self) -> bool:
        """Whether a key is proved, so that the provider may be asked."""
        return self._proved is not None

    async def challenge(self) -> Challenge:
        """What the person is shown; once for a connection."""
        if self._proved is None or self._asked:
            return False
        self._asked = True
        if not self._keys.enter(self._whose):
            return _said("too many people sign in from where you are; try again in a minute")
        self._placed = True
        flow = self._keys.identity.device_flow()
        try:
            shown = await flow.begin()
        except (FlowRefused, ProviderAway) as problem:
            self.close()
            log.info("sign-in.not_begun", why=str(problem))
            return _said(str(problem) if isinstance(problem, FlowRefused) else _AWAY)
        self._flow = flow, shown
        return "", invitation(shown, self._user, self._peer), "", []

    async def answered(self) -> Challenge:
        """The client has shown it: waits for the provider."""
        if self._flow is None or self._proved is None:
            return False
        (flow, shown), self._flow = self._flow, None
        words = await self._sign_in(flow, shown, self._proved)
        return _said(words) if words else self.bound is not None

    def close(self) -> None:
        """Nobody waits any more."""
        if self._placed:
            self._placed = False
            self._keys.leave(self._whose)

    async def _sign_in(self, flow: DeviceFlow, shown: Shown, key: asyncssh.SSHKey) -> str:
        """Why it did not come about; empty where it did."""
        identity = self._keys.identity
        try:
            token = await flow.wait(shown)
            signed = await identity.exchange(token, key, peer=self._peer, how="ssh")
            said = self._user.partition("+")[0]
            if said not in names_of(signed.principal):
                await identity.logout(signed.token)
                name = signed.principal.name
                return f'you signed in as {name}, and are "{said[:60]}" here: ssh -l {name}+TARGET'
            bound = Bound(signed.principal.id, signed.sign_in, signed.identity_until)
            self._keys.keep(key, bound)
            self.bound = bound
        except FlowRefused as problem:
            identity.refusals.note("ssh", str(problem), who=self._user, peer=self._peer)
            return str(problem)
        except Refused as problem:
            return problem.message
        except ProviderAway:
            return _AWAY
        except StoreAway:
            return "the agent cannot reach its store"
        except Exception as problem:  # noqa: BLE001 - the border: our bug signs nobody in
            log.error("sign-in.failed", problem=type(problem).__name__, where=places(problem))
            return "the agent failed, and nobody was signed in"
        finally:
            self.close()
        return ""


def names_of(who: Principal) -> tuple[str, ...]:
    """What may stand before the + of a user name."""
    return who.id, who.name, who.name.partition("@")[0], who.subject


# --- words ----------------------------------------------------------------------------------------

_AWAY = "your identity provider could not be asked; try again in a minute"


def _said(words: str) -> Challenge:
    """Shown by the client; what it answers to it is a no."""
    return "", f"hoop: {words}.\n", "", []


def invitation(shown: Shown, user: str, peer: str) -> str:
    """What a person needs, and what they must know before they enter a code."""
    name, _, target = _plain(user).partition("+")
    return "\n".join(
        (
            f"hoop: sign in as {name}, to reach {target}.",
            "",
            f"  Open  {shown.page}",
            f"  and enter the code  {shown.user_code}",
            "",
            f"This is for the ssh that you started yourself, from {_plain(peer)}.",
            "If somebody sent you this code, they would become you: do not enter it.",
            "Waiting until you have signed in... (Ctrl-C to stop)\n",
        )
    )


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:120])
