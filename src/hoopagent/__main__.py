"""``hoop-agent run | restart | check | init | leaver | index``: the agent as a program."""

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
    from hoopagent.config import Config
    from hoopcore.places import ConfigError


def main(argv: list[str] | None = None) -> int:
    """Runs one command; the exit status is 0 done, 1 failed, 2 usage."""
    arguments = _arguments(argv)
    if arguments.command == "leaver":
        return leaver(arguments.config, arguments.who, arguments.reason, back=arguments.back)
    if arguments.command == "index":
        return index(arguments.config)
    command = {"init": init, "check": check, "run": run, "restart": restart}[arguments.command]
    try:
        if getattr(arguments, "take_over", False):
            return run(arguments.config, take_over=True)
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
    parser.add_argument("--version", action="version", version=_version_shown())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in (
        ("run", "serve until SIGTERM; what runs then gets the time `drain` says"),
        ("restart", "put a new agent in the running one's place; no connection is refused"),
        ("check", "say everything that is wrong with the configuration, by file, line and key"),
        ("init", "write a commented example folder and make the agent's keys"),
        ("leaver", "somebody has left: end their grants, sessions and sign-ins, and keep them out"),
        ("index", "make the index of sessions anew from their recordings"),
    ):
        command = commands.add_parser(name, help=words, description=words)
        command.add_argument(
            "--config",
            type=Path,
            default=Path(os.environ.get("HOOP_AGENT_CONFIG") or "hoop-agent.d"),
            metavar="FOLDER",
            help="the configuration folder (default: $HOOP_AGENT_CONFIG, else ./hoop-agent.d)",
        )
        if name == "leaver":
            command.add_argument("who", metavar="WHO", help="e-mail address, or id")
            command.add_argument("--reason", required=True, metavar="TEXT", help="why")
            command.add_argument("--back", action="store_true", help="they may sign in again")
        if name == "index":
            words = "forget what is there first; nothing else is done yet"
            command.add_argument("--rebuild", action="store_true", required=True, help=words)
        if name == "run":
            words = "take the place of the agent that runs on the same data folder, if one does"
            command.add_argument("--take-over", action="store_true", help=words)
    return parser.parse_args(argv)


def _version_shown() -> str:
    from hoopcore.protocols.postgres import stream

    compiled = "" if str(stream.__file__).endswith(".py") else " (compiled)"
    return f"hoop-agent {_version()}{compiled}"


def _version() -> str:
    from importlib.metadata import version

    return version("hoopcli")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def init(folder: Path) -> int:
    """Writes the example files that are not there yet, and the keys; prints the fingerprint."""
    from hoopagent.config_files import FILES
    from hoopagent.key_files import KeyUnsafe
    from hoopagent.keys import Keys

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
        data = _data_folder(folder)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys = Keys.load_or_create(data / "keys")
    except (OSError, KeyUnsafe) as problem:
        _say(f"hoop-agent: {problem}")
        return 1
    except ValueError as problem:
        _say(f"hoop-agent: {folder / 'agent.toml'}: {problem}")
        _say("            The keys belong into [agent] data, so that must be readable first")
        return 1
    _say("The host key people pin at their first sign-in has the fingerprint")
    print(keys.fingerprint)
    _say(f"Next:  edit the files in {folder}, then  hoop-agent check --config {folder}")
    return 0


def _data_folder(folder: Path) -> Path:
    """Where the agent of this folder will have its keys; ValueError where nobody can say."""
    import tomllib

    told = tomllib.loads((folder / "agent.toml").read_text(encoding="utf-8")).get("agent", {})
    data = told.get("data", "data") if isinstance(told, dict) else None
    if not isinstance(data, str) or not data:
        raise ValueError("[agent] data is no folder")
    return folder / data


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
    from hoopagent import config_notify
    from hoopagent.config_files import check as problems_of

    if _no_folder(folder):
        return 1
    config, problems = problems_of(folder)
    for problem in problems:
        print(_where(folder, problem))
    if config is None:
        _say(f"hoop-agent: {_count(problems, 'problem')} in {folder}")
        return 1
    silent = config_notify.unread(folder, config.agent.notify)
    for problem in silent:
        print(_where(folder, problem))
    _say(
        f"{folder}: {_count(config.targets, 'target')}, {_count(config.roles, 'role')}; "
        + ("the agent would start, and tell less than it should" if silent else "nothing is wrong")
    )
    return 1 if silent else 0


def _read(folder: Path, otherwise: str) -> Config | None:
    """The configuration, or None and all that is wrong with it said."""
    from hoopagent.config_files import check as problems_of

    if _no_folder(folder):
        return None
    config, problems = problems_of(folder)
    if config is None:
        for problem in problems:
            _say(_where(folder, problem))
        _say(f"hoop-agent: {otherwise}")
    return config


def run(folder: Path, *, take_over: bool = False) -> int:
    """Serves until SIGTERM or SIGINT, or until a successor has taken its place."""
    config = _read(folder, "not started")
    if config is None:
        return 1
    from hoopagent.app import serve
    from hoopagent.errors import CannotStart

    try:
        serve(config, _version(), take_over=take_over)
    except CannotStart as problem:
        _say(f"hoop-agent: {problem}")
        return 1
    return 0


def restart(folder: Path) -> int:
    """Has the running agent start its successor, and waits until that one serves."""
    config = _read(folder, "not restarted; the running agent goes on as it is")
    if config is None:
        return 1
    from hoopagent.errors import CannotStart
    from hoopagent.restart import restarted

    try:
        told = restarted(config.folder / config.agent.data, _version())
    except CannotStart as problem:
        _say(f"hoop-agent: {problem}")
        return 1
    _say(f"hoop-agent: pid {told['pid']} (hoop {told['version']}) serves now.")
    _say(f"            Sessions that run in the old one may go on for {config.agent.drain}.")
    return 0


def leaver(folder: Path, who: str, reason: str, *, back: bool = False) -> int:
    """Has the running agent end all that somebody has, or let them sign in again."""
    config = _read(folder, "nothing was done")
    if config is None:
        return 1
    from hoopagent.errors import CannotStart
    from hoopagent.restart import told_leaver

    asked = {"who": who, "reason": reason, "back": back}
    try:
        done = told_leaver(config.folder / config.agent.data, _version(), asked)
    except CannotStart as problem:
        _say(f"hoop-agent: {problem}")
        return 1
    for one in done:
        name = one["principal"]["name"]
        if back:
            print(f"{name} may sign in again")
            continue
        ended = ", ".join(
            _count(one[what], word)
            for what, word in (("grants", "grant"), ("requests", "request"), ("closed", "session"))
        )
        print(f"{name} is signed out and kept out; ended: {ended}")
    if not done:
        _say(f"hoop-agent: {who} had not left")
    return 0


def index(folder: Path) -> int:
    """Makes the index of sessions anew; the agent may run meanwhile."""
    config = _read(folder, "nothing was done")
    if config is None:
        return 1
    from hoopagent.errors import CannotStart
    from hoopagent.indexing import rebuilt

    try:
        count, absent = rebuilt(config)
    except CannotStart as problem:
        _say(f"hoop-agent: {problem}")
        return 1
    print(f"{_count(range(count), 'session')} in the index")
    if absent:
        _say(f"hoop-agent: {_count(range(absent), 'recording')} not found in {config.agent.data}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
