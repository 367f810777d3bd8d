"""``hoop demo``: the whole story on a real PostgreSQL, on this machine, in a minute."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from hoopcli.errors import Exit, Failure, say

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def demo(
    serve: Annotated[
        bool, typer.Option("--serve", help="Leave everything running and print what to type.")
    ] = False,
) -> None:
    """See the whole story on a real PostgreSQL, on this machine.

    Starts a PostgreSQL with a small shop, a demo identity provider and an agent, all on the
    loopback and in a private folder that is removed at the end; then runs hoop's own commands as
    two people. It exits with 0 only if every step showed what it should.

    \b
    Example:
      hoop demo
      hoop demo --serve
    """
    try:
        from hoopcli.demo.postgres import PostgresMissing
        from hoopcli.demo.world import DemoFailed, World
    except ImportError as problem:
        raise _not_installed() from problem
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Ended from outside, it still removes what it made.
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        say("Starting PostgreSQL, a demo identity provider and an agent on the loopback ...")
        with World() as world:
            if serve:
                _serve(world)
            else:
                _tell(world)
    except PostgresMissing as problem:
        raise _not_installed() from problem
    except (DemoFailed, RuntimeError, OSError) as problem:
        raise Failure(f"the demo could not start: {problem}") from problem


def _not_installed() -> Failure:
    hint = "Install it:  pip install 'hoopcli[demo]'"
    return Failure("the demo's parts are not installed", hint)


def _tell(world: object) -> None:
    from hoopcli.demo.story import StoryFailed, Teller, tell
    from hoopcli.demo.world import World

    assert isinstance(world, World)
    teller = Teller(world, lambda text: print(text, flush=True))
    try:
        tell(teller)
    except StoryFailed as problem:
        teller.failures.append(str(problem))
    except (LookupError, StopIteration):
        # A step went without what an earlier one should have left; that one is in the list.
        teller.failures.append(f"the story could not go on behind step {teller.steps}")
    if teller.failures:
        raise Failure(
            "the demo did not go as it should:\n      " + "\n      ".join(teller.failures)
        )
    print(
        f"# {teller.steps} steps, each with the outcome it should have. Everything is removed now."
    )
    say("Try it yourself:  hoop demo --serve")


def _serve(world: object) -> None:
    """Prints what to type as each person, then waits for Ctrl-C."""
    from hoopcli.demo.world import World

    assert isinstance(world, World)
    hoop = f"{sys.executable} -m hoopcli"
    for person in ("ana", "ben"):
        environment = world.environment(person)
        names = ("HOOP_HOME", "HOOP_AGENT", "HOOP_KEYRING", "HOOP_PASSPHRASE", "HOOP_PSQL")
        print(f"# In a terminal of its own, as {person}:")
        for name in names:
            print(f"export {name}={environment[name]}")
        print(f"alias hoop='{hoop}'")
        print("hoop login   # the demo provider asks for no password; pick the person\n")
    print("# Then, as ana:  hoop targets · hoop connect prod-db")
    print('# and as ben:    hoop requests --to-decide · hoop approve ID --reason "..."')
    sys.stdout.flush()
    say("Running. Ctrl-C ends it and removes everything.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        say("\nEnded; everything is removed.")
        raise SystemExit(Exit.DONE) from None
