"""``hoop step-up``: say why you need what your grant was narrowed by; the statement goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from hoopcli import about, asking, completion_values, screen
from hoopcli.client import connected, path
from hoopcli.errors import say
from hoopcli.options import OutputOption, request_id
from hoopcli.view import Output, card, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("step-up")
def step_up(
    request: Annotated[
        str,
        typer.Argument(
            help="Your held statement.", metavar="ID", autocompletion=completion_values.my_pending
        ),
    ],
    reason: Annotated[
        str | None, typer.Option(help="Why you need it after all.", metavar="TEXT")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let your held statement run, which your grant covered before you narrowed it.

    On a target of a low tier you answer yourself, with a reason that is kept.  On others somebody
    who approves does.  Your grant then covers it again.

    \b
    Example:
      hoop step-up hold-4k7mq2zt9x --reason "order 4711 has a customer"
    """
    with connected() as client:
        request_id(request)
        if reason is None and asking.possible():
            held = client.get(path("requests", request))
            say(card(about.request_card(held, screen.now()), screen.width()))
        said = asking.reason(
            reason, "Why do you need it after all? ", f"hoop step-up {clean(request)}"
        )
        value = client.post(path("requests", request, "step-up"), {"reason": said})
    screen.show_request(output, value)
    if output is Output.TABLE:
        say("It goes on, and your grant covers it from now on.")
