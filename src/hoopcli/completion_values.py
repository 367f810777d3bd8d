"""What a shell offers for a word: names and ids the agent knows, each with a hint.

A completion never says a word, never asks and never waits long: whatever goes wrong, there is
simply nothing to offer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

Offers: TypeAlias = list[tuple[str, str]]

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_PATIENCE = 1.0  # seconds; a person is waiting with a finger on Tab


def _offered(path: str, hint: Callable[[Any], str], key: str = "id", **params: object) -> Offers:
    from hoopcli.client import connected
    from hoopcli.view import clean

    try:
        with connected(_PATIENCE) as client:
            values = client.get(path, **params)
        # Some shells put a word on the command line as it is: none that they would act on.
        return [(value[key], clean(hint(value))) for value in values if _WORD.fullmatch(value[key])]
    except Exception:  # noqa: BLE001 - a Tab that fails offers nothing; there is nobody to tell
        return []


def targets(incomplete: str) -> Offers:
    def hint(target: Any) -> str:
        return "you have a grant" if target.get("grant") else f"{target.get('protocol', '')}"

    return _matching(_offered("/v1/targets", hint, key="name"), incomplete)


def agents(incomplete: str) -> Offers:
    try:
        from hoopcli import profile

        nicks = profile.nicks(profile.agents())
        return _matching([(nick, name) for name, nick in nicks.items()], incomplete)
    except Exception:  # noqa: BLE001 - as above
        return []


def tunnels(incomplete: str) -> Offers:
    try:
        from hoopcli.tunnels import records

        kept = [(one.target, f"127.0.0.1:{one.port}") for one in records.remembered()]
        return _matching([one for one in kept if _WORD.fullmatch(one[0])], incomplete)
    except Exception:  # noqa: BLE001 - as above
        return []


def _request_hint(request: Any) -> str:
    return f"{request['requester']['name']} → {request['target']}: {request['reason']}"


def requests(incomplete: str) -> Offers:
    return _matching(_offered("/v1/requests", _request_hint), incomplete)


def decidable(incomplete: str) -> Offers:
    return _matching(_offered("/v1/requests", _request_hint, to_decide=True), incomplete)


def my_pending(incomplete: str) -> Offers:
    offers = _offered("/v1/requests", _request_hint, mine=True, state="pending")
    return _matching(offers, incomplete)


def _grant_hint(grant: Any) -> str:
    return f"{grant['principal']['name']} → {grant['target']}: {grant['reason']}"


def my_grants(incomplete: str) -> Offers:
    return _matching(_offered("/v1/grants", _grant_hint, mine=True, live=True), incomplete)


def grants(incomplete: str) -> Offers:
    return _matching(_offered("/v1/grants", _grant_hint, all=True, live=True), incomplete)


def sessions(incomplete: str) -> Offers:
    def hint(session: Any) -> str:
        return f"{session['principal']['name']} on {session['target']}, {session['started']}"

    return _matching(_offered("/v1/sessions", hint), incomplete)


def priorities(incomplete: str) -> Offers:
    from hoopcore.model import Priority

    return _matching([(word, "") for word in Priority], incomplete)


def kinds(incomplete: str) -> Offers:
    from hoopcore.model import Kind

    return _matching([(word, "") for word in Kind], incomplete)


def actions(incomplete: str) -> Offers:
    """What most often is looked for in the audit."""
    words = (
        "request",
        "vote",
        "grant",
        "sign-in",
        "session",
        "recording",
        "mask",
        "policy",
        "audit",
    )
    return _matching([(word, "") for word in words], incomplete)


def request_states(incomplete: str) -> Offers:
    from hoopcore.model import RequestState

    return _matching([(word, "") for word in RequestState], incomplete)


def _matching(offers: Offers, incomplete: str) -> Offers:
    return [offer for offer in offers if offer[0].startswith(incomplete)]
