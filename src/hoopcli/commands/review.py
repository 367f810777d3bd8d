"""``hoop review mine``: do you still need this?

Each grant is shown as a card with what was done with it, and one key answers.  Silence never
keeps: Enter does nothing, and a keep without a reason is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from hoopcli import about, asking, completion_values, screen
from hoopcli.client import Client, connected
from hoopcli.errors import fail, say, usage
from hoopcli.options import OutputOption, grant_id
from hoopcli.review_glass import break_glass
from hoopcli.view import Output, card, clean, when

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

_HEADS = ("GRANT", "TARGET", "ENDS", "SESSIONS", "STATEMENTS", "LAST USE", "WHY")
_KEEP, _GIVE_BACK = "keep", "give back"  # hoopcore.model.ReviewAnswer
_QUESTION = "Keep (k), give back (g), skip (s), quit (q)? "


@app.callback()
def review() -> None:
    """Keep or give back, with your own usage as the evidence.

    \b
    Example:
      hoop review mine
    """


_Keep = Annotated[
    str | None,
    typer.Option(
        help="Keep this one, without asking.",
        metavar="GRANT",
        autocompletion=completion_values.my_grants,
    ),
]
_GiveBack = Annotated[
    str | None,
    typer.Option(
        help="Give this one back, without asking.",
        metavar="GRANT",
        autocompletion=completion_values.my_grants,
    ),
]
_Reason = Annotated[str | None, typer.Option(help="Why.", metavar="TEXT")]


@app.command()
def mine(
    keep: _Keep = None,
    give_back: _GiveBack = None,
    reason: _Reason = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Go through your grants: what each was used for, and whether you still need it.

    In a terminal each grant is a card, and one key answers.  In a pipe, and with -o, they are
    listed.

    \b
    Examples:
      hoop review mine
      hoop review mine --keep grt-7h2vd9xk4p --reason "order 4711 is still open"
      hoop review mine --give-back grt-7h2vd9xk4p
    """
    if keep is not None and give_back is not None:
        usage("--keep and --give-back do not go together")
    if reason is not None and keep is None and give_back is None:
        usage("--reason wants --keep GRANT or --give-back GRANT")
    chosen = keep if keep is not None else give_back
    if chosen is not None:
        grant_id(chosen)
    with connected() as client:
        if keep is not None:
            why = asking.reason(reason, "Why do you still need it? ", _command("--keep", keep))
            _show(output, _answer(client, keep, _KEEP, why))
        elif give_back is not None:
            decided = _answer(client, give_back, _GIVE_BACK, reason or "")
            _show(output, decided)
        else:
            _review(client, client.get("/v1/reviews/mine"), output)


app.command("break-glass")(break_glass)


def _command(option: str, grant: str) -> str:
    return f"hoop review mine {option} {clean(grant)}"


# --- one after the other ------------------------------------------------------------------------


def _review(client: Client, items: list[Any], output: Output) -> None:
    now = screen.now()
    if output is not Output.TABLE or not asking.possible() or not items:
        screen.show(
            output,
            items,
            heads=_HEADS,
            row=lambda item: _row(item, now),
            name=lambda item: _grant(item)["id"],
            empty="You have no grants to review.",
        )
        return
    done: dict[str, int] = {"kept": 0, "given back": 0, "skipped": 0}
    for number, item in enumerate(items, 1):
        say(f"\n{number} of {len(items)}")
        say(card(_evidence(item, now), screen.width()))
        outcome = _decide(client, item)
        if outcome is None:
            break
        done[outcome] += 1
    told = ", ".join(f"{count} {what}" for what, count in done.items() if count)
    left = len(items) - sum(done.values())
    say("\n" + (told or "Nothing changed") + (f"; {left} not looked at" if left else "") + ".")


def _decide(client: Client, item: Any) -> str | None:
    """What was done with one grant; None to stop.  What fails is told, and the card stays."""
    grant = str(_grant(item)["id"])
    while True:
        pressed = asking.key(_QUESTION, "kgsq")
        if pressed == "q":
            return None
        if pressed == "s":
            return "skipped"
        if pressed == "g":
            _tell(_answer(client, grant, _GIVE_BACK, ""))
            return "given back"
        reason = asking.line("Why do you still need it? ")
        if reason:
            _answer(client, grant, _KEEP, reason)
            return "kept"
        say("Without a reason it is not kept.")


def _answer(client: Client, grant: str, answer: str, reason: str) -> Any:
    body = {"grant": grant, "answer": answer, "reason": reason}
    return client.post("/v1/reviews", body)


def _tell(decided: Any) -> None:
    closed = decided.get("closed") or ()
    if closed:
        say(f"Sessions that ended with it: {', '.join(map(clean, closed))}")


def _show(output: Output, decided: Any) -> None:
    decision = decided.get("decision")
    if not isinstance(decision, dict):
        fail("the agent did not say what it decided")
    screen.show_one(
        output,
        decided,
        pairs=lambda _: [
            ("grant", decision.get("grant")),
            ("answer", decision.get("answer")),
            ("reason", decision.get("reason")),
            ("closed", ", ".join(decided.get("closed") or ())),
        ],
        name=lambda _: decision.get("grant"),
    )


# --- the evidence -------------------------------------------------------------------------------


def _grant(item: Any) -> dict[str, Any]:
    """The grant of an item, which the agent gives by its id or in full."""
    grant = item["grant"]
    return grant if isinstance(grant, dict) else {"id": grant}


def _row(item: Any, now: datetime) -> tuple[object, ...]:
    return (
        _grant(item)["id"],
        item.get("target") or _grant(item).get("target") or "",
        when(item["not_after"], now),
        item["sessions"],
        item["statements"],
        when(item.get("last_use"), now) or "not seen",
        (item.get("why") or {}).get("reason", ""),
    )


def _evidence(item: Any, now: datetime) -> Iterator[tuple[str, object]]:
    why = item.get("why") or {}
    yield "grant", _grant(item)["id"]
    yield "target", item.get("target") or _grant(item).get("target")
    yield "why", why.get("reason")
    yield "ticket", why.get("ticket")
    yield "approved by", ", ".join(map(_who, why.get("approvers") or ()))
    yield "since", when(why.get("at"), now)
    yield "ends", when(item["not_after"], now)
    yield "sessions", item["sessions"]
    yield "statements", _statements(item)
    yield "used", ", ".join(item.get("used") or ()) or "nothing seen"
    yield "of", about.scope(str(item.get("granted", "")))
    yield "not seen", _unused(item)
    yield "last use", when(item.get("last_use"), now) or "not seen"
    yield "unread", _unread(item)
    yield "suggestion", item.get("suggestion")


def _who(approver: Any) -> str:
    return str(approver["name"] if isinstance(approver, dict) else approver)


def _statements(item: Any) -> str:
    said = str(item["statements"])
    extra = [
        f"{item[name]} {what}"
        for name, what in (("refused", "refused"), ("rows", "rows"), ("masked", "values masked"))
        if item.get(name)
    ]
    return f"{said} ({', '.join(extra)})" if extra else said


def _unread(item: Any) -> str:
    """What the evidence above does not hold, so that nobody takes it for all there was."""
    gaps = (("unseen", "recording(s) not readable"), ("unread", "statement(s) not understood"))
    return ", ".join(f"{item[name]} {what}" for name, what in gaps if item.get(name))


def _unused(item: Any) -> str:
    """The parts of the scope that no use touched: what could be given back without being missed.

    Nothing is said of a scope that is everything, nor where part of the use could not be read.
    """
    from hoopcore.model import EVERYTHING, Scope

    if item.get("unseen"):
        return ""
    try:
        granted = Scope.parse(str(item.get("granted") or "")).atoms
        used = {atom for text in item.get("used") or () for atom in Scope.parse(text).atoms}
    except ValueError:
        return ""
    if granted == EVERYTHING.atoms:
        return ""
    idle = [atom for atom in granted if not any(atom.covers(use) for use in used)]
    return " ".join(map(str, sorted(idle)))
