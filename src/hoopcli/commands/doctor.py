"""``hoop doctor``: what is wrong between you and your targets, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hoopcli import screen
from hoopcli.options import OutputOption
from hoopcli.view import Output, as_json, cells, clean, wrap

if TYPE_CHECKING:
    from hoopcli.checks import Looks

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def doctor(
    agent: Annotated[
        str | None,
        typer.Option(
            help="Run folder or HOST:PORT; the agent signed in to last, if not given.",
            metavar="WHERE",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Look at everything between you and a target, and say how to mend what is wrong.

    Each line is ok, warn or fail.  Exit status 1 says that one of them is fail.  It works with the
    agent down, and without a sign-in; it changes nothing.

    \b
    Examples:
      hoop doctor
      hoop doctor -o json
    """
    from hoopcli import checks

    looks = checks.Looks(agent)
    _open_sign_in(agent, looks)
    lines = []
    for line in checks.run(looks.all()):
        lines.append(line)
        if output is Output.TABLE:
            screen.out(_drawn(*checks.shown(line)))
    if output is Output.JSON:
        screen.out(as_json([line.value() for line in lines]))
    elif output is Output.NAMES:
        wrong = [clean(line.check) for line in lines if line.state != checks.OK]
        if wrong:
            screen.out("\n".join(wrong))
    if any(line.state == checks.FAIL for line in lines):
        raise typer.Exit(1)


def _open_sign_in(agent: str | None, looks: Looks) -> None:
    """Asks for a passphrase where one is needed, before the looks, which may not ask anybody."""
    from hoopcli import asking, profile
    from hoopcli.credentials import FILE
    from hoopcli.errors import Failure

    try:
        pin = profile.pin_of(profile.wanted(agent))
        if pin is not None and pin.vault == FILE and asking.possible():
            looks.kept()
    except Failure:
        pass  # a look of its own says so


_STATE, _CHECK = 6, 18


def _drawn(state: str, check: str, said: str) -> str:
    """One line of the table, wrapped; heads would say nothing that the words do not."""
    indent = _STATE + _CHECK
    first, *more = wrap(said, max(screen.width() - indent, 20))
    head = f"{state:<{_STATE}}{check}" + " " * max(_CHECK - cells(check), 1)
    return "\n".join([head + first, *(" " * indent + text for text in more)])
