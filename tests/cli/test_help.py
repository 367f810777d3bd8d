"""Every command explains itself on 80 columns, with an example that can be meant."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from hoopcli.app import ENTRIES, load, overview
from hoopcli.commands.completion import Shell, script
from tests.cli.conftest import ROOT, Hoop

WRITTEN = sorted(
    name
    for name, entry in ENTRIES.items()
    if (ROOT / f"src/hoopcli/commands/{entry.module or name}.py").exists()
)


def leaves(name: str) -> list[tuple[list[str], Any]]:
    """The command, or its sub-commands where it has any, with the words that lead there."""
    command = load(ENTRIES[name])
    if not hasattr(command, "commands"):
        return [([name], command)]
    return [([name, below], one) for below, one in command.commands.items()]


def examples(help: str) -> list[str]:
    _, _, shown = help.partition("Example")
    return [line.strip() for line in shown.splitlines() if "hoop " in line]


@pytest.mark.parametrize("name", WRITTEN)
def test_help_has_a_summary_an_example_and_fits_80_columns(name: str, hoop: Hoop) -> None:
    for words, _ in leaves(name):
        done = hoop(*words, "--help")
        assert done.returncode == 0
        assert examples(done.stdout), f"{words} shows no example"
        assert all(len(line) <= 80 for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", WRITTEN)
def test_examples_are_commands_that_parse(name: str) -> None:
    """Options and arguments of each example are ones the command has."""
    for words, command in leaves(name):
        for line in examples(command.help or ""):
            text = line[line.index("hoop ") :].partition(" > ")[0]
            typed = shlex.split(text.partition(")")[0] if "$(" in line else text)
            if typed[1 : len(words) + 1] != words:
                continue  # an example of what comes next
            rest = typed[len(words) + 1 :]
            with command.make_context("hoop", list(rest)):
                pass


@pytest.mark.parametrize("name", WRITTEN)
def test_every_command_that_shows_data_can_show_it_as_json(name: str) -> None:
    without = {"completion", "demo", "login", "logout"}
    for words, command in leaves(name):
        options = {option for one in command.params for option in one.opts}
        if command.hidden:
            continue  # for programs, which need to know only whether it worked
        alone = words[0] in without or words == ["audit", "export"]  # it has a --format
        assert "-o" in options or alone, f"{words} has no -o"


def test_the_list_of_commands_fits_80_columns_and_names_them_all() -> None:
    text = overview()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert all(f"\n  {name} " in text for name in ENTRIES)


def test_help_can_be_asked_for_in_three_ways(hoop: Hoop) -> None:
    assert hoop("--help").stdout == hoop("-h").stdout == hoop("help").stdout
    assert hoop("help", "targets").stdout == hoop("targets", "--help").stdout


def test_the_scripts_in_the_repository_are_what_the_command_prints() -> None:
    names = {Shell.BASH: "hoop.bash", Shell.ZSH: "_hoop", Shell.FISH: "hoop.fish"}
    for shell, name in names.items():
        committed = (ROOT / "completions" / name).read_text()
        assert committed == script(shell), f"run: hoop completion {shell} > completions/{name}"
