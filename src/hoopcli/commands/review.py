"""``hoop review``: do you still need this?

``mine`` is the question about one's own grants; ``confirm`` is somebody independent's word on an
answer; ``done`` and ``undo`` are what became of answers; ``break-glass`` looks at others'.

Each grant is shown with what was done with it, and one key answers.  Silence never keeps: Enter
does nothing.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from hoopcli import asking, completion_values, review_view, screen
from hoopcli.client import Client, connected
from hoopcli.errors import usage
from hoopcli.options import OutputOption, grant_id, moment, scope_text
from hoopcli.review_confirm import confirm, done, undo
from hoopcli.review_glass import break_glass
from hoopcli.review_ticket import ticket_closed
from hoopcli.view import Output, clean, when

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

_HEADS = ("GRANT", "TARGET", "ENDS", "GROUP", "STATEMENTS", "LAST USE", "IF NARROWED", "WHY")


@app.callback()
def review() -> None:
    """Keep, narrow or give back, with your own usage as the evidence.

    \b
    Example:
      hoop review mine
    """


def _grant_option(help: str) -> Any:
    return typer.Option(help=help, metavar="GRANT", autocompletion=completion_values.my_grants)


@app.command()
def mine(
    keep: Annotated[str | None, _grant_option("Keep this one.")] = None,
    narrow: Annotated[
        str | None, _grant_option("Put a smaller one in its place: --scope, --until.")
    ] = None,
    give_back: Annotated[
        str | None, _grant_option("Give this one back; ten minutes to undo.")
    ] = None,
    delegate: Annotated[str | None, _grant_option("Ask somebody else about this one.")] = None,
    cannot_say: Annotated[
        str | None, _grant_option("You cannot say; somebody independent will.")
    ] = None,
    scope: Annotated[
        str | None, typer.Option(help="With --narrow: what is left.", metavar="SCOPE")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="With --narrow: an earlier end.", metavar="TIME")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="With --delegate: who is asked.", metavar="WHO")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --narrow: only say what would still pass.")
    ] = False,
    hard: Annotated[
        bool,
        typer.Option("--hard", help="With --narrow: what is outside is refused, and not held."),
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why.", metavar="TEXT")] = None,
    sure: Annotated[
        bool, typer.Option("--sure", help="It is meant, though it ends much at once.")
    ] = False,
    apply: Annotated[
        Path | None,
        typer.Option(
            help="Answers from a file, one JSON object a line; not on a high tier.",
            metavar="FILE",
        ),
    ] = None,
    linear: Annotated[
        bool, typer.Option("--linear", help="Every fact on a line of its own, in words.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Go through your grants: what each was used for, and whether you still need it.

    In a terminal it begins with a page of what waits, then each grant is a card, and one key
    answers.  In a pipe, and with -o, they are listed.

    \b
    Examples:
      hoop review mine
      hoop review mine --keep grt-7h2vd9xk4p --reason "order 4711 is still open"
      hoop review mine --narrow grt-7h2vd9xk4p --scope orders:read --dry-run
      hoop review mine --give-back grt-7h2vd9xk4p
      hoop review mine --apply answers.jsonl
    """
    answers = {
        "keep": keep,
        "narrow": narrow,
        "give back": give_back,
        "delegate": delegate,
        "cannot say": cannot_say,
    }
    given = {answer: grant for answer, grant in answers.items() if grant is not None}
    _check(given, scope, until, to, reason, dry_run or hard, apply)
    if apply is not None:
        from hoopcli import review_apply

        raise typer.Exit(review_apply.run(apply, output, sure=sure))
    with connected() as client:
        if not given:
            _look(client, output, linear)
            return
        ((answer, grant),) = given.items()
        body: dict[str, Any] = {"grant": grant_id(grant), "answer": answer, "sure": sure}
        body |= {} if scope is None else {"scope": scope_text(scope)}
        body |= {} if until is None else {"until": moment("--until", until)}
        body |= {} if to is None else {"to": to}
        body |= {"hard": True} if hard else {}
        if dry_run:
            _show_trial(output, client.post("/v1/reviews/replay", _trial(body)))
            return
        _show(output, client.post("/v1/reviews", body | {"reason": _reason(answer, grant, reason)}))


def _check(
    given: dict[str, str],
    scope: str | None,
    until: str | None,
    to: str | None,
    reason: str | None,
    how: bool,
    apply: Path | None,
) -> None:
    """What was typed fits together."""
    if len(given) > 1 or (given and apply is not None):
        usage("one answer at a time: --keep, --narrow, --give-back, --delegate, --cannot-say")
    answer = next(iter(given), "")
    if reason is not None and not answer:
        usage("--reason wants an answer: --keep GRANT, --give-back GRANT …")
    if answer != "narrow" and (scope is not None or until is not None or how):
        usage("--scope, --until, --hard and --dry-run go with --narrow GRANT")
    if answer == "narrow" and scope is None and (until is None or how):
        usage("--narrow wants --scope SCOPE, or an earlier end: --until TIME")
    if (answer == "delegate") is not (to is not None):
        usage("--delegate GRANT and --to WHO go together")


def _trial(body: dict[str, Any]) -> dict[str, Any]:
    return {"grant": body["grant"], "scope": body["scope"]}


# Answers that are none without a reason; of a low tier, a keep is.
_WHY = {
    "delegate": "Why do you ask them? ",
    "cannot say": "What stands in the way? ",
    "keep": "Why do you still need it? ",
}


def _reason(answer: str, grant: str, reason: str | None) -> str:
    if answer not in _WHY or reason is not None:
        return reason or ""
    if not asking.possible():
        return ""  # the agent says whether one is needed
    option = f"--{answer.replace(' ', '-')}"
    return asking.reason(None, _WHY[answer], f"hoop review mine {option} {clean(grant)}")


app.command("confirm")(confirm)
app.command("done")(done)
app.command("undo")(undo)
app.command("ticket-closed")(ticket_closed)
app.command("break-glass")(break_glass)


# --- looking ------------------------------------------------------------------------------------


def _look(client: Client, output: Output, linear: bool) -> None:
    items = client.get("/v1/reviews/mine")
    alone = output is not Output.TABLE or not asking.possible()
    if not alone and any(map(review_view.waits_for, items)):
        _ask(client, items, linear or _is_dumb())
    elif linear and output is Output.TABLE:
        for number, item in enumerate(items, 1):
            screen.out(f"{'' if number == 1 else chr(10)}grant {number} of {len(items)}")
            for line in review_view.linear(item):
                screen.out(line)
    else:
        _list(output, items)


def _ask(client: Client, items: list[Any], linear: bool) -> None:
    """The form where it can be drawn; else one card after the other."""
    if not linear and sys.stdout.isatty() and find_spec("textual") is not None:
        from hoopcli.review_form.app import fill

        code = fill(client, items)
        if code:
            raise typer.Exit(code)
        return
    from hoopcli import review_walk

    review_walk.walk(client, items, linear=linear)


def _is_dumb() -> bool:
    return os.environ.get("TERM", "dumb") == "dumb"


def _list(output: Output, items: list[Any]) -> None:
    now = screen.now()
    screen.show(
        output,
        items,
        heads=_HEADS,
        row=lambda item: (
            item["grant"],
            item["target"],
            when(item["not_after"], now),
            item.get("group") if review_view.waits_for(item) else item["state"],
            item["statements"],
            when(item.get("last_use"), now) or "not seen",
            _passing(item.get("narrower")),
            (item.get("why") or {}).get("reason", ""),
        ),
        name=lambda item: item["grant"],
        empty="You have no grants to review.",
    )


def _passing(less: Any) -> str:
    held = f", {less['held']} held" if less and less.get("held") else ""
    return f"{less['passed']} of {less['of']} pass{held}" if less else ""


def _show_trial(output: Output, found: Any) -> None:
    screen.show_one(
        output,
        found,
        pairs=lambda one: [
            ("grant", one["grant"]),
            ("if narrowed", review_view.narrower(one)),
            ("outside", ", ".join(one["outside"])),
        ],
        name=lambda one: one["grant"],
    )


def _show(output: Output, decided: Any) -> None:
    now = screen.now()
    screen.show_one(
        output,
        decided,
        pairs=lambda one: review_view.outcome(one, now),
        name=lambda one: one["decision"]["grant"],
    )
