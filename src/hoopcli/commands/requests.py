"""``hoop requests``: what was asked for, by you and of you."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hoopcli import about, completion_values, screen
from hoopcli.client import Client, connected, path
from hoopcli.errors import ApiError, say, usage
from hoopcli.options import OutputOption, choice, request_id
from hoopcli.view import Output, clean, when

app = typer.Typer(rich_markup_mode=None, add_completion=False)


_Request = Annotated[
    str | None,
    typer.Argument(
        help="Show this one in full.",
        metavar="ID",
        autocompletion=completion_values.requests,
    ),
]
_Mine = Annotated[bool, typer.Option("--mine", help="Only what you asked for.")]
_ToDecide = Annotated[bool, typer.Option("--to-decide", help="Only what waits for your vote.")]
_Follow = Annotated[
    bool, typer.Option("--follow", help="With --to-decide: as they come, one key each.")
]
_State = Annotated[
    str | None,
    typer.Option(
        help="Only in this state: pending, fulfilled, denied …",
        metavar="STATE",
        autocompletion=completion_values.request_states,
    ),
]


@app.command()
def requests(
    request: _Request = None,
    mine: _Mine = False,
    to_decide: _ToDecide = False,
    follow: _Follow = False,
    state: _State = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Requests: yours, and those you can decide.

    \b
    Examples:
      hoop requests --to-decide
      hoop requests --to-decide --follow
      hoop requests --mine --state pending
      hoop requests req-4k7mq2zt9x
    """
    if request is not None and (mine or to_decide or state):
        usage("an ID and a choice of requests do not go together", "See:  hoop requests --help")
    if mine and to_decide:
        usage("--mine and --to-decide do not go together: nobody decides on their own")
    if follow and not to_decide:
        usage("--follow goes with --to-decide", "See:  hoop requests --help")
    if state is not None:
        _check_state(state)
    now = screen.now()
    with connected() as client:
        if request is not None:
            value = client.get(path("requests", request_id(request)))
            screen.show_request(output, value)
            return
        if follow:
            from hoopcli import deciding_queue

            deciding_queue.follow(client, output)
            return
        values = client.get("/v1/requests", mine=mine, to_decide=to_decide, state=state)
        waits = _reviews(client) if to_decide and output is not Output.NAMES else []
    screen.show(
        output,
        values,
        heads=about.REQUEST_HEADS,
        row=lambda one: about.request_row(one, now),
        name=_name,
        empty="There is nothing for you to decide." if to_decide else "There are no requests.",
    )
    if output is Output.TABLE:
        for one in values:
            if one["state"] == "pending" and about.is_own(one) and not to_decide:
                say(f"{clean(one['id'])} waits for who has said it:")
                say(f'      hoop step-up {clean(one["id"])} --reason "…"')
    if waits:
        times = "once" if len(waits) == 1 else f"{len(waits)} times"
        due = when(min(one["due"] for one in waits), now)
        say(f"The glass was broken {times}: you say whether it was right (due {due}).")
        say("      hoop review break-glass")


def _reviews(client: Client) -> list[Any]:
    """Where the glass was broken, and this person has to say whether it was right."""
    try:
        return [one for one in client.get("/v1/break-glass") if one["yours_to_say"]]
    except ApiError:
        return []


def _check_state(state: str) -> None:
    from hoopcore.model import RequestState

    choice("--state", state, RequestState)


def _name(value: dict[str, object]) -> object:
    return value["id"]
