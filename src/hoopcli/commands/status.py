"""``hoop status``: who you are, at which agents and until when, and what is open to you now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from hoopcli import about, screen, view
from hoopcli.client import Client
from hoopcli.errors import Failure
from hoopcli.options import OutputOption
from hoopcli.view import Output

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_MOST = 6  # grants, and sessions, that are shown of one agent: all of it is one screen


@app.command()
def status(
    agent: Annotated[
        str | None,
        typer.Option(
            help="Run folder or HOST:PORT; all you are signed in to, if not given.",
            metavar="WHERE",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show who you are, at which agents, until when, and what is open to you now.

    Exit status 3 says that you are not signed in, 7 that the agent cannot be reached.  Where you
    know several agents, that is about the one you signed in to last; the others are shown too.

    \b
    Examples:
      hoop status
      hoop status -o json
    """
    from hoopcli import profile

    meant = profile.wanted(agent)
    others = [] if agent else [name for name in profile.agents() if name != meant]
    known, failure = _tried(meant)
    if failure is not None and not others:
        raise failure
    known["others"] = [_tried(name)[0] for name in others]
    _show(output, known)
    if failure is not None:
        raise failure


def _show(output: Output, known: dict[str, Any]) -> None:
    if output is not Output.TABLE:
        screen.show_one(output, known, pairs=lambda _: (), name=_name)
        return
    now = screen.now()
    cards = [_card(one, now) for one in (known, *known["others"])]
    screen.out("\n\n".join(view.card(pairs, screen.width()) for pairs in cards))


def _known(name: str) -> dict[str, Any]:
    """What the agent of that name, and this machine, know of who is signed in there."""
    from hoopcli.signin import session

    here = session(name)
    with Client(here) as client:
        told = client.get("/v1/status")
        grants = client.get("/v1/grants", mine=True, live=True)
        sessions = client.get("/v1/sessions", mine=True, live=True)
    kept = here.credentials()
    return {
        **told,
        "where": here.place.name,
        "host_key": here.pin.host_key,
        "issuer": here.pin.issuer,
        "kept_in": here.pin.vault,
        "renews": bool(kept.refresh_token or here.pin.workload),
        "renewed_by": _renewed_by(bool(here.pin.workload), bool(kept.refresh_token)),
        "grants": grants,
        "sessions": sessions,
    }


def _tried(name: str) -> tuple[dict[str, Any], Failure | None]:
    """The same, or what is wrong with that agent: it hides nothing of the others."""
    try:
        known = _known(name)
        list(_card(known, screen.now()))
    except Failure as problem:
        return {"where": name, "problem": problem.message, "hint": problem.hint}, problem
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        unread = Failure(f"what the agent at {name} says of you cannot be read", "hoop doctor")
        unread.__cause__ = error
        return {"where": name, "problem": unread.message, "hint": unread.hint}, unread
    return known, None


def _renewed_by(workload: bool, refreshes: bool) -> str:
    if workload:
        return "the workload's own token"
    return "a refresh token of the provider" if refreshes else ""


def _name(known: dict[str, Any]) -> str:
    return str(known["principal"]["name"]) if "principal" in known else ""


def _card(known: dict[str, Any], now: Any) -> Iterator[tuple[str, object]]:
    if "problem" in known:
        yield "agent", known["where"]
        yield "problem", known["problem"]
        yield "", known["hint"]
        return
    principal = known["principal"]
    yield "signed in as", about.called(principal)
    yield "owner", principal.get("owner")
    yield "id", principal["id"]
    yield "groups", ", ".join(principal["groups"])
    yield "roles", ", ".join(principal.get("roles", []))
    yield "ends", _ends(known, now)
    yield "agent", f"{known['where']} (hoop {known['version']})"
    yield "host key", known["host_key"]
    yield "provider", known["issuer"]
    yield "kept in", known["kept_in"]
    yield from _open(known, now)


def _ends(known: dict[str, Any], now: Any) -> str:
    until = view.when(known.get("identity_until"), now)
    by = known.get("renewed_by")
    return f"{until}, renewed while you work, by {by}" if by else f"{until}, then:  hoop login"


def _open(known: dict[str, Any], now: Any) -> Iterator[tuple[str, object]]:
    grants, sessions = known.get("grants") or [], known.get("sessions") or []
    for grant in grants[:_MOST]:
        begins = "" if grant["state"] == "active" else f"{grant['state']}, "
        ends = view.when(grant["not_after"], now)
        what = f"{grant['target']}, {about.scope(grant['scope'])}"
        yield "grant", f"{grant['id']}: {what}, {begins}ends {ends}"
    if not grants:
        yield "grant", "none:  hoop targets"
    yield "", _more(len(grants), "hoop grants")
    for budget in known.get("budgets") or ():
        yield "budget", f"{budget['target']}: {about.budget(budget, several=len(grants) > 1)}"
    for session in sessions[:_MOST]:
        began = view.when(session["started"], now)
        did = f"{session['statements']} statements"
        yield "session", f"{session['id']}: {session['target']}, began {began}, {did}"
    yield "", _more(len(sessions), "hoop sessions --mine --live")


def _more(count: int, command: str) -> str:
    return f"and {count - _MOST} more:  {command}" if count > _MOST else ""
