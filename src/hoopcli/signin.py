"""Who is signed in, and the token to say so with: renewed in silence while that is possible.

``session`` is what every command uses.  A token near its end is renewed before it is given out:
the provider gives a new ID token for the refresh token, and the agent a new agent token for that,
over SSH and for a fresh key.  One ``hoop`` at a time does so; the others find it done.

What every command needs is the token alone, and it may be at hand (``at_hand``) without the vault.

The token before the last goes on until the next renewal: a command that is under way may still be
using it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hoopcli import at_hand, profile
from hoopcli.errors import AgentUnreachable, Failure, NotSignedIn
from hoopcli.profile import Pin, Place, check, locate, pin_of, wanted

if TYPE_CHECKING:
    from hoopcli.credentials import Credentials, Vault
    from hoopcli.door import Exchanged

T = TypeVar("T")

# A token is renewed when less than this is left of it, or less than a fifth of its life.
NEAR_ITS_END = 300.0

# Those that are open in this process: a passphrase is asked for once, not for each agent.
_vaults: dict[str, Vault] = {}


def session(agent: str | None = None) -> Session:
    """Who is signed in at the agent that is meant.

    NotSignedIn where there was no sign-in; AgentUnreachable where there is no agent any more.
    Nothing is asked of anybody yet.
    """
    name = wanted(agent)
    place = locate(name)
    pin = pin_of(name)
    if pin is None:
        raise NotSignedIn(hint=_sign_in(agent))
    check(place, pin)
    return Session(place, pin)


class Session:
    """One person at one agent."""

    def __init__(self, place: Place, pin: Pin) -> None:
        self.place = place
        self.pin = pin
        self._vault: Vault | None = None
        self._near: Path | None = None
        self._credentials: Credentials | None = None

    @property
    def socket(self) -> Path:
        """The control API: the agent's own socket, or the near end of a channel to it."""
        if self.place.api is not None:
            return self.place.api
        if self._near is None:
            from hoopcli.tunnels import calls

            told = self.through(
                lambda word: calls.call("reach", agent=self.place.name, passphrase=word)
            )
            self._near = Path(told["api"])
        return self._near

    @property
    def passphrase(self) -> str:
        """What opens the vault, for the process that holds the tunnels; empty for a keyring."""
        self.credentials()
        return str(getattr(self.vault, "_passphrase", ""))

    def through(self, ask: Callable[[str], T]) -> T:
        """What the process that holds the tunnels answers, who is told the passphrase if need be.

        It may know it since an earlier call; then, with a token at hand, nobody is asked for it.
        """
        if self._credentials is None and self._token_at_hand():
            with contextlib.suppress(NotSignedIn):
                return ask("")
        return ask(self.passphrase)

    def token(self) -> str:
        """A bearer token that holds now; NotSignedIn where there is none to be had."""
        if self._credentials is None and (token := self._token_at_hand()):
            return token
        kept = self.credentials()
        if holds(kept):
            return kept.token
        if os.environ.get("HOOP_COMPLETING"):
            if time.time() < kept.expires:
                return kept.token
            raise NotSignedIn("your sign-in is over")
        return self._renewed().token

    def credentials(self) -> Credentials:
        """What is kept of the sign-in, as it is."""
        if self._credentials is None:
            self._credentials = self._load()
            self._keep_at_hand()
        return self._credentials

    def forget(self) -> bool:
        """The agent does not know the token.  Whether another may be had, since it was at hand."""
        at_hand.drop(labels(self.place.name))
        return self._credentials is None

    @property
    def vault(self) -> Vault:
        """Where it is kept."""
        if self._vault is None:
            from hoopcli import credentials

            kind = self.pin.vault
            self._vault = _vaults.get(kind) or credentials.reopen(kind)
            _vaults[kind] = self._vault
        return self._vault

    def _token_at_hand(self) -> str:
        """A token that holds, without opening the vault; empty where there is none at hand."""
        kept = at_hand.find(self._label())
        is_ours = kept is not None and kept.name == self.place.name
        return kept.token if kept is not None and is_ours else ""

    def _keep_at_hand(self) -> None:
        """The token alone, until it is due to be renewed; nothing of a keyring, which has a lock
        of its own that people rely on.
        """
        kept, place, file = self._credentials, self.place, self.vault.file(self.pin.host_key)
        is_far = place.api is None
        if kept is None or file is None or (place.owner is None) != is_far or not place.port:
            return  # in a keyring, or at an agent that is nowhere or in a folder of others' too
        files = [file, profile.home() / "profile.toml"]
        files += [] if is_far else [Path(place.name) / "agent.json"]
        owner, api = (-1, "") if place.owner is None else (place.owner, str(place.api))
        held = at_hand.Kept(place.name, api, owner, kept.token, kept.expires - margin(kept))
        at_hand.keep(self._label(), held, [str(one) for one in files])

    def _label(self) -> str:
        """What it is kept under: nothing where this agent is the only one, and needs no name."""
        alone = not os.environ.get("HOOP_AGENT") and profile.agents() == [self.place.name]
        return "" if alone else self.place.name

    def _load(self) -> Credentials:
        from hoopcli.credentials import Credentials

        text = self.vault.load(self.pin.host_key)
        if text is None:
            raise NotSignedIn
        try:
            return Credentials.from_text(text)
        except ValueError as problem:
            raise NotSignedIn(f"your sign-in cannot be read: {problem}") from problem

    def _renewed(self) -> Credentials:
        """Renewed credentials; those we have where that fails and they still hold."""
        from hoopcli.credentials import locked

        with locked():
            self._credentials = kept = self._load()
            if holds(kept):  # another hoop was quicker
                return kept
            try:
                self._credentials = renew(self.place, self.pin, self.vault, kept)
                self._keep_at_hand()
            except Failure as problem:
                if time.time() < kept.expires:
                    return kept
                if isinstance(problem, AgentUnreachable | NotSignedIn):
                    raise
                raise NotSignedIn(
                    f"your sign-in is over, and renewing it failed: {problem.message}"
                ) from problem
            return self._credentials


def renew(place: Place, pin: Pin, vault: Vault, kept: Credentials) -> Credentials:
    """A new token for the refresh token.  Each step is kept before the next is tried."""
    from hoopcli import door

    kept, token = _token_of_now(pin, vault, kept)
    try:
        fresh = _exchanged(place, pin, kept, token)
    except door.Refusal as problem:
        if problem.reason != "token_used":
            raise
        # Two ID tokens of one second are the same one, where signatures are deterministic.
        time.sleep(1.1)
        kept, token = _token_of_now(pin, vault, kept)
        fresh = _exchanged(place, pin, kept, token)
    if fresh.principal != kept.principal:
        door.revoke(place, pin.host_key, [fresh.token])
        raise NotSignedIn("the provider says that you are somebody else now")
    vault.save(pin.host_key, fresh.to_text())
    door.revoke(place, pin.host_key, kept.retired)
    return fresh


def _token_of_now(pin: Pin, vault: Vault, kept: Credentials) -> tuple[Credentials, str]:
    """A token to exchange, and what was kept with the provider's new refresh token in it."""
    from hoopcli import oidc, workload

    if pin.workload:
        means = workload.Means.kept(pin.workload)
        return kept, workload.token(means, pin.ca_file)
    if not kept.refresh_token:
        raise NotSignedIn("your sign-in is over")
    with oidc.connect(pin.issuer, pin.ca_file) as http:
        endpoints = oidc.discover(http, pin.issuer)
        tokens = oidc.refresh(http, endpoints, pin.client_id, kept.refresh_token)
    # The provider may have taken the old refresh token back already.
    kept = replace(kept, refresh_token=tokens.refresh_token)
    vault.save(pin.host_key, kept.to_text())
    return kept, tokens.id_token


def _exchanged(place: Place, pin: Pin, kept: Credentials, token: str) -> Credentials:
    from hoopcli import browser, door

    kind = door.WORKLOAD_TOKEN if pin.workload else door.ID_TOKEN
    # A nonce is for one key, and some providers repeat it in each new ID token.
    bound = kind == door.ID_TOKEN and browser.nonce_of(token) is not None
    key = kept.key if bound else door.fresh_key()
    told = door.exchange(place, pin.host_key, key, token, kind=kind, previous=kept.token)
    # An agent that knows sign-ins ends the older tokens of this one by itself.
    retired = () if told.sign_in else (kept.token,)
    return replace(made(told, key), refresh_token=kept.refresh_token, retired=retired)


def made(exchanged: Exchanged, key: str) -> Credentials:
    """What is kept of an exchange.  Failure where it is not what an agent answers."""
    from hoopcli.credentials import Credentials
    from hoopcli.view import moment

    principal = exchanged.principal
    try:
        return Credentials(
            principal=str(principal["id"]),
            name=str(principal.get("name", "")),
            groups=tuple(str(group) for group in principal.get("groups", ())),
            token=exchanged.token,
            issued=time.time(),
            expires=moment(exchanged.expires).timestamp(),
            identity_until=moment(exchanged.identity_until).timestamp(),
            key=key,
            certificate=exchanged.certificate,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as problem:
        raise Failure("the agent's answer to the sign-in cannot be read") from problem


def holds(kept: Credentials) -> bool:
    """Whether the token is good, and for long enough not to end under a command."""
    return time.time() < kept.expires - margin(kept)


def margin(kept: Credentials) -> float:
    """How many seconds before its end a token is renewed."""
    return min(NEAR_ITS_END, (kept.expires - kept.issued) / 5)


def labels(name: str) -> tuple[str, str]:
    """Under which a token of that agent may be at hand."""
    return "", name


def _sign_in(agent: str | None) -> str:
    return "Sign in:  hoop login" + (f" --agent {agent}" if agent else "")
