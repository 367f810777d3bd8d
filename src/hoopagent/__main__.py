"""``hoop-agent run | check | init``: the agent as a program."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sized
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoopcore.places import ConfigError


def main(argv: list[str] | None = None) -> int:
    """Runs one command; the exit status is 0 done, 1 failed, 2 usage."""
    arguments = _arguments(argv)
    command = {"init": init, "check": check, "run": run}[arguments.command]
    try:
        return command(arguments.config)
    except KeyboardInterrupt:
        # Only before it serves: what runs then is stopped in order.
        _say("hoop-agent: interrupted")
        return 128 + signal.SIGINT


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="hoop-agent",
        description="The gate in the data path: judges, masks and records what goes to a target.",
        epilog="Start:  hoop-agent init, edit what it writes, hoop-agent check, hoop-agent run",
    )
    parser.add_argument("--version", action="version", version=f"hoop-agent {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in (
        ("run", "serve until SIGTERM; what runs then gets the time `drain` says"),
        ("check", "say everything that is wrong with the configuration, by file, line and key"),
        ("init", "write a commented example folder and make the agent's keys"),
    ):
        command = commands.add_parser(name, help=words, description=words)
        command.add_argument(
            "--config",
            type=Path,
            default=Path(os.environ.get("HOOP_AGENT_CONFIG") or "hoop-agent.d"),
            metavar="FOLDER",
            help="the configuration folder (default: $HOOP_AGENT_CONFIG, else ./hoop-agent.d)",
        )
    return parser.parse_args(argv)


def _version() -> str:
    from importlib.metadata import version

    return version("hoopcli")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def init(folder: Path) -> int:
    """Writes the example files that are not there yet, and the keys; prints the fingerprint."""
    from hoopagent.config_files import FILES
    from hoopagent.keys import Keys, KeysUnsafe

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in FILES:
            path = folder / name
            if path.exists():
                _say(f"kept     {path}")
                continue
            example = resources.files("hoopagent").joinpath("example", name)
            path.touch(mode=0o600)
            path.write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
            _say(f"written  {path}")
        data = folder / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        keys = Keys.load_or_create(data / "keys")
    except (OSError, KeysUnsafe) as problem:
        _say(f"hoop-agent: {problem}")
        return 1
    _say("The host key people pin at their first sign-in has the fingerprint")
    print(keys.fingerprint)
    _say(f"Next:  edit the files in {folder}, then  hoop-agent check --config {folder}")
    return 0


def _where(folder: Path, problem: ConfigError) -> str:
    """``folder/file:line: what``; no line where it is about the whole file."""
    line = f":{problem.line}" if problem.line else ""
    return f"{folder / problem.file}{line}: {problem.message}"


def _count(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'s' if len(things) != 1 else ''}"


def _no_folder(folder: Path) -> bool:
    """Whether there is nothing to read, and that was said."""
    if folder.is_dir():
        return False
    _say(f"hoop-agent: there is no folder {folder}")
    _say(f"            Make one:  hoop-agent init --config {shlex.quote(str(folder))}")
    return True


def check(folder: Path) -> int:
    """Prints each problem as ``file:line: what``; 0 where there is none."""
    from hoopagent.config_files import check as problems_of

    if _no_folder(folder):
        return 1
    config, problems = problems_of(folder)
    for problem in problems:
        print(_where(folder, problem))
    if config is None:
        _say(f"hoop-agent: {_count(problems, 'problem')} in {folder}")
        return 1
    _say(
        f"{folder}: {_count(config.targets, 'target')}, {_count(config.roles, 'role')}; "
        "nothing is wrong"
    )
    return 0


def run(folder: Path) -> int:
    """Serves until SIGTERM or SIGINT."""
    from hoopagent.config_files import check as problems_of

    if _no_folder(folder):
        return 1
    config, problems = problems_of(folder)
    if config is None:
        for problem in problems:
            _say(_where(folder, problem))
        _say("hoop-agent: not started")
        return 1
    from hoopagent.app import CannotStart, serve

    try:
        serve(config, _version())
    except CannotStart as problem:
        _say(f"hoop-agent: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
