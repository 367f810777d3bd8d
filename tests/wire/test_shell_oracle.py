"""Real shells against the reading of their texts: what ran is in what was read, or it was unread.

Every program on PATH is a fake that notes its own name, but for a few real ones that run others.
Texts are made of pieces that shells give a meaning to; nothing in them names a path.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hoopcore.shell import read
from tests.servers import missing

FAKES = ("aa", "bb", "cc", "dd", "E")
RUNNERS = ("env", "nice", "xargs", "timeout", "find", "sh", "nohup", "sed", "awk", "setsid")
EXAMPLES = 3000 if os.environ.get("HOOP_LONG") else 250


@dataclass
class Arena:
    """Where texts are run."""

    folder: Path

    def ran(self, shell: str, text: str) -> set[str]:
        """The fakes that a shell ran for this text."""
        log, work = self.folder / "log", self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        log.write_text("")
        environ = {"PATH": str(self.folder / "bin"), "LOG": str(log), "FUNCNEST": "20"}
        process = subprocess.Popen(
            [f"/bin/{shell}", "-c", text],
            cwd=work,
            env=environ | {"HOME": str(work)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return set(log.read_text().split())


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    for shell in ("bash", "dash"):
        if not Path("/bin", shell).exists():
            missing(shell, "it is not in /bin")
    folder = tmp_path_factory.mktemp("arena")
    programs = folder / "bin"
    programs.mkdir()
    for name in FAKES:
        fake = programs / name
        fake.write_text('#!/bin/dash\necho "${0##*/}" >> "$LOG"\n')
        fake.chmod(0o755)
    for name in RUNNERS:
        found = shutil.which(name)
        if found is not None:
            (programs / name).symlink_to(found)
    return Arena(folder)


# --- texts ----------------------------------------------------------------------------------------

PIECES = [
    *("aa", "bb", "cc", "dd", " ", " ", " ", "\n", ";", "&", "|", "&&", "||", "'", '"', "`"),
    *("$(", ")", "(", "{ ", "; }", "<<E\n", "\nE\n", "<<'E'\n", "<<-E\n", "\t", "\\", "\\\n"),
    *("#", " #", "$x", "x=", "${x:-", "}", "if ", "then ", "else ", "fi ", "while ", "do "),
    *("done ", "case a in ", "a)", ";;", " esac", "for i in ", "f() ", "eval ", "sh -c ", "xargs "),
    *("env ", "nice ", "exec ", "! ", "time ", "$((", "))", "1", "<(", ">(", ">o ", "<i ", "2>"),
    *("*", "?", "~", "[ ", "]", "[[ ", " ]]", "-c ", "trap ", " EXIT", "$'", "\\'", "command "),
    *("alias ", "function ", '$"', "<<<", "&>", "|&", "x+=", "coproc ", "select ", "in ", "{a,"),
    *("..", '"$@"', "set -- ", "read x", "builtin ", "${!x}", "x[", "=", "x='a[$(bb)]'", "-exec "),
    *("find . ", " \\; ", " {} ", "timeout 1 ", "nohup ", "shift", "unset ", "export ", "local "),
    *("declare ", "${x%", "${x#", "$x[", "\\\\", "\\`", '\\"', "$", "!", ":", "elif ", "until "),
]

names = st.sampled_from(FAKES[:4])


@st.composite
def quoted(draw: st.DrawFn) -> str:
    """A name in one of its spellings."""
    name = draw(names)
    first, last = name
    spellings = [
        *(name, f"'{name}'", f'"{name}"', f"\\{name}", f"{first}''{last}", f'{first}"{last}"'),
        *(f"{first}\\\n{last}", f"$'{name}'", f"$'\\x{ord(first):x}'{last}", f'"{first}"\\{last}'),
        *(f"$(echo {name})", f"`echo {name}`", f"${{x:-{name}}}", f"{first}?", f"{{{name},}}"),
    ]
    spelling: str = draw(st.sampled_from(spellings))
    return spelling


def around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A text with others in it."""
    forms = [
        "{} && {}", "{} || {}", "{} | {}", "{}; {}", "{} & {}", "{}\n{}", "( {} ); {}",
        "{{ {}; }}; {}", "if {}; then {}; fi", "aa $({}) {}", 'aa "$({})" {}', "aa `{}` {}",
        "while ! {}; do {}; done", "case a in a) {};; b) {};; esac", "f() {{ {}; }}; f; {}",
        "cat <<E\n$({})\nE\n{}", "cat <<'E'\n{}\nE\n{}", "aa <<E; {}\n{}\nE\n", "x=$({}) {}",
        "for i in a; do {}; done; {}", "eval '{}'; {}", "sh -c '{}'; {}", 'sh -c "{}"; {}',
        "env {}; {}", "nice {}; {}", "find . -exec {} \\; ; {}", "exec {}; {}",
        "time {}; {}", "time ! {}; {}",
        "aa <({}); {}", "! {}; {}", "{} #{}", "{} # \\\n{}", "aa ${{x:-$({})}}; {}", "{} >o; {}",
        "trap '{}' EXIT; {}", "[[ a = $({}) ]] && {}", "command {}; {}", "x=1 {}; {}", "{} \\\n{}",
        "echo {} | xargs {}", "timeout 1 {}; {}", "{} 2>&1 | {}", "{} &> o; {}", "set -- {}; {}",
        "aa $((1 + 1)); {}; {}", "x='{}'; $x; {}", "x='{}'; eval \"$x\"; {}", "echo {} | sh; {}",
    ]  # fmt: skip
    return st.builds(lambda form, a, b: form.format(a, b), st.sampled_from(forms), inner, inner)


programs = st.recursive(st.builds(" ".join, st.lists(quoted(), min_size=1, max_size=2)), around,
                        max_leaves=6)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A text that was one, with pieces put in, cut out or doubled."""
    text = draw(programs)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        until = draw(st.integers(at, min(len(text), at + 3)))
        text = text[:at] + draw(st.sampled_from(["", *PIECES])) + text[until:]
    return text


texts = mutated() | st.builds("".join, st.lists(st.sampled_from(PIECES), max_size=14))


def check(arena: Arena, text: str) -> None:
    """What either shell ran was read, where the text was read."""
    for shell, bash in (("bash", True), ("bash", False), ("dash", False)):
        reading = read(text.encode(), bash=bash)
        (statement,) = reading.statements
        if reading.why or statement.shell is None:
            continue
        families = {command.family for command in statement.shell.commands}
        ran = arena.ran(shell, text)
        assert ran <= families, f"{shell} ran {ran - families} in {text!r}, read as {families}"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[*HealthCheck], database=None)
@given(text=texts)
@example(text="x='a[$(bb)]'; echo $((x))")
@example(text="aa `aa \\`bb\\``")
@example(text="aa &> o bb")
@example(text="time ! bb")
@example(text="eval -- bb")
@example(text="x='a[$(bb)]' bash -c 'false && x=1; echo $((x))'")
def test_what_ran_is_in_what_was_read(arena: Arena, text: str) -> None:
    check(arena, text)


def test_the_arena_sees_what_runs(arena: Arena) -> None:
    assert arena.ran("bash", "aa; b''b | env cc && sh -c dd") == {"aa", "bb", "cc", "dd"}
    assert arena.ran("dash", "x='bb'; $x") == {"bb"}
