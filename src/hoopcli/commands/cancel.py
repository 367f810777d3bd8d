"""``hoop cancel``: take back a request nobody has decided yet."""

from __future__ import annotations

from typing import Annotated

import typer

from hoopcli import completion_values, screen
from hoopcli.client import connected, path
from hoopcli.options import OutputOption, request_id
from hoopcli.view import Output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def cancel(
    request: Annotated[
        str,
        typer.Argument(
            help="Your request.", metavar="ID", autocompletion=completion_values.my_pending
        ),
    ],
    output: OutputOption = Output.TABLE,
) -> None:
    """Take back a request nobody has decided yet.

    \b
    Example:
      hoop cancel req-4k7mq2zt9x
    """
    with connected() as client:
        value = client.post(path("requests", request_id(request), "cancel"))
    screen.show_request(output, value)
