"""Masks over what SSH shows: real programs on a real sshd, a person's stock ssh, the recording.

``web-masked`` is a target like the others, but for its output, which is masked as it is by default.
A canary is a card, an address and a private key; none of it may reach a client or a recording.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.e2e.ssh_world import SshWorld, command, options, ssh, stock
from tests.e2e.test_ssh_targets import recorded, sessions
from tests.e2e.world import Person
from tests.servers import missing
from tests.worlds import signed_in, started

CARD = "4111 1111 1111 1111"
EMAIL = "bo.okafor@canary.example"
KEY = [
    "-----BEGIN RSA PRIVATE KEY-----",
    *("MIIEcanary" + "abcdefghijklmnop" * 3 for _ in range(4)),
    "-----END RSA PRIVATE KEY-----",
]
FILLER = "x" * 73


class MaskedWorld(SshWorld):
    """With more detectors than the demo has."""

    def start_agent(self) -> None:
        (self.folder / "agent" / "masks.toml").write_text(
            'detectors = ["card", "ssn", "email", "iban", "jwt", "aws-key", "private-key"]\n'
        )
        super().start_agent()


@pytest.fixture(scope="module")
def world() -> Iterator[SshWorld]:
    with started(MaskedWorld) as world:
        yield world


@pytest.fixture(scope="module")
def ana(world: SshWorld) -> Person:
    signed_in(world, "ben")
    person = signed_in(world, "ana")
    person.hoop("request", "web-masked", "--reason", "a test of masks", "--for", "1h")
    return person


@pytest.fixture(scope="module")
def file(world: SshWorld) -> Path:
    """A file with values in it: alone, at the margin of 80 columns, and in a key."""
    path = world.folder / "canary.txt"
    lines = ["plain", f"card {CARD} end", f"mail {EMAIL}", FILLER + CARD.replace(" ", "") + " end"]
    path.write_text("\n".join([*lines, *KEY, "last"]) + "\n")
    return path


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        missing(name, f"apt-get install {name}")
        raise AssertionError
    return found


def clean(said: str) -> None:
    """Nothing of a canary is in it, whatever stands between its characters."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|[\r\n\x0e\x0f\b]", "", said)
    squeezed = text.replace(" ", "")
    assert "41111111" not in squeezed
    assert "okafor" not in squeezed
    assert "canaryabc" not in squeezed


def told(ana: Person) -> str:
    """What the recording of the newest session holds, as it is and as a cast."""
    events = recorded(ana, "web-masked")
    shown = "".join(str(event.get("out", "")) for event in events)
    session = sessions(ana, "web-masked")[0]["id"]
    clean(ana.hoop("replay", session, "-o", "cast").stdout)
    clean(shown)
    return shown


def pty(ana: Person, *words: str, columns: int = 80) -> pexpect.spawn[str]:
    program, *arguments = command(ana, "web-masked", *words, more=("-tt",))
    return pexpect.spawn(
        program, arguments, encoding="latin-1", timeout=20, dimensions=(24, columns)
    )


def ran(ana: Person, *words: str, columns: int = 80) -> str:
    """What a command in a terminal shows, to its end; nothing of a canary is in it."""
    child = pty(ana, *words, columns=columns)
    child.expect(pexpect.EOF)
    child.close()
    said: str = child.before or ""
    clean(said)
    return said


def test_values_are_masked_on_both_streams_and_counted(ana: Person, file: Path) -> None:
    done = ssh(ana, "web-masked", f"cat {file}; cat {file} >&2")
    for said in (done.stdout.decode(), done.stderr.decode()):
        clean(said)
        lines = said.splitlines()
        assert lines[0] == "plain"
        assert lines[1] == "card ***************1111 end"
        assert lines[2] == "mail *********@canary.example"
        assert lines[3] == FILLER + "************1111 end"
        assert set("".join(lines[4:10])) == {"*"}
        assert lines[10] == "last"
    (finished,) = [e for e in recorded(ana, "web-masked") if e["type"] == "finished"]
    assert finished["masked"] == {"card": 4, "email": 2, "private-key": 2}


def test_what_is_no_value_arrives_byte_for_byte(ana: Person) -> None:
    data = bytes(range(256)) * 40 + b"no end of line \xe2\x82"
    assert ssh(ana, "web-masked", "cat", stdin=data).stdout == data


def test_a_listed_program_passes_as_it_is_and_another_one_does_not(ana: Person, file: Path) -> None:
    folder = file.parent
    listed = ssh(ana, "web-masked", f"tar -C {folder} -cf - {file.name}").stdout
    assert CARD.encode() in listed
    printed = ssh(ana, "web-masked", f"tar -C {folder} -cf - {file.name} | tar -xOf -").stdout
    clean(printed.decode())
    clean(
        ssh(ana, "web-masked", f"tar --to-command=cat -xf {folder}/x; cat {file}").stdout.decode()
    )


def test_colours_within_a_value_hide_nothing(ana: Person, file: Path) -> None:
    said = ran(ana, f"grep --color=always -e '1 11' -e okaf -e 'ry' -e RSA {file}")
    assert "\x1b[01;31m" in said
    assert "*" in said
    told(ana)
    said = ran(ana, r"printf '41\033[31m11 1111 \033[1m11\033[0;32m11 1111\n'")
    assert "\x1b[31m" in said
    told(ana)


def test_a_pager_shows_no_value_also_at_the_margin(ana: Person, file: Path) -> None:
    child = pty(ana, program("less"), str(file))
    child.expect(re.escape("(END)"))
    said = child.before
    child.send("g/card\r")
    child.expect("END|canary.txt|card")
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    clean(said + child.before)
    assert "plain" in said
    assert "last" in said
    shown = told(ana)
    assert "last" in shown


def test_a_value_that_comes_slowly_is_waited_for(ana: Person) -> None:
    words = "for p in 4111 ' 1111' ' 1111' ' 11' 11; do printf '%s' \"$p\"; sleep 0.1; done; echo"
    # Without a terminal, where the wait is the longest, so that a slow machine tells the same.
    assert ssh(ana, "web-masked", words).stdout == b"***************1111\n"


def test_what_comes_more_slowly_never_comes_whole(ana: Person) -> None:
    words = "for p in 4111 ' 1111' ' 1111' ' 1111'; do printf '%s' \"$p\"; sleep 0.7; done; echo"
    child = pty(ana, words)
    child.expect(pexpect.EOF)
    child.close()
    assert CARD not in child.before
    assert child.before.endswith("*****\r\n")


def test_what_is_painted_with_the_cursor_is_found(ana: Person, file: Path) -> None:
    moves = "a=$(tput cup 4 10) b=$(tput cup 4 14) c=$(tput cup 4 24)"
    words = f"export TERM=xterm; {moves}; printf '%s' \"${{a}}4111$b 1111 1111$c 1111\"; echo"
    assert "*" in ran(ana, words)
    assert "*" in told(ana)
    written = file.parent / "over.txt"
    written.write_bytes(b"4111 1111 12\b111 1111\r\n")
    assert "*" in ran(ana, f"cat {written}")
    told(ana)


def test_an_editor_shows_no_value(ana: Person, file: Path) -> None:
    vi = shutil.which("vi")
    if vi is None:
        pytest.skip("there is no vi on this host")
    child = pty(ana, f"TERM=xterm {vi} -R {file}")
    child.expect("last")
    child.send("\x1b:q!\r")
    child.expect(pexpect.EOF)
    child.close()
    clean(child.before)
    told(ana)


def test_a_prompt_does_not_wait_and_what_is_typed_comes_back(ana: Person) -> None:
    child = pty(ana, "PS1='$ ' sh -i")
    child.expect(re.escape("$ "))
    child.send("echo 4111")
    child.expect("echo 4111")
    child.send(" 1111\r")
    child.expect("\r\n4111 1111\r\n" + re.escape("$ "))
    for typed, key in enumerate(f"true {CARD}", 1):
        child.send(key)
        child.expect(re.escape(f"true {CARD}"[typed - 1]))
    child.send("\r")
    child.expect(re.escape("$ "))
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()
    events = recorded(ana, "web-masked")
    shown = "".join(str(event.get("out", "")) for event in events)
    assert "true " in shown
    assert CARD not in shown
    assert "⟦card:" in shown


def test_the_recording_leaves_out_what_the_person_sees_in_clear(
    world: SshWorld, ana: Person, file: Path
) -> None:
    ana.hoop("request", "web-ca", "--reason", "a test of masks", "--for", "1h")
    words = command(ana, "web-ca", f"grep --color=always -e '' -e 1 {file}", more=("-tt",))
    child: Any = pexpect.spawn(words[0], words[1:], encoding="utf-8", timeout=20)
    child.expect(pexpect.EOF)
    child.close()
    assert "okafor" in child.before
    shown = "".join(str(event.get("out", "")) for event in recorded(ana, "web-ca"))
    clean(shown)
    for one in ("⟦card:", "⟦private-key:", "last"):
        assert one in shown
    session = sessions(ana, "web-ca")[0]["id"]
    clean(ana.hoop("replay", session, "-o", "cast").stdout)
    assert json.loads(ana.hoop("replay", session, "-o", "cast").stdout.splitlines()[0])


def test_git_and_scp_carry_what_they_carry(world: SshWorld, ana: Person, file: Path) -> None:
    """With masks on: their bytes are no text, and come as they are."""
    git, folder = program("git"), world.folder / "repository"
    words: tuple[str, ...]
    settings = ("-c", "user.name=ana", "-c", "user.email=ana@example.com")
    for words in (("init", "-q", str(folder)), ("-C", str(folder), *settings, "add", "canary.txt")):
        folder.mkdir(exist_ok=True)
        shutil.copy(file, folder)
        subprocess.run([git, *words], check=True, capture_output=True)
    words = ("-C", str(folder), *settings, "commit", "-qm", f"paid with {CARD}")
    subprocess.run([git, *words], check=True, capture_output=True)
    to = [stock("ssh"), *options(ana), "-l", "ana+web-masked"]
    clone = world.folder / "clone"
    subprocess.run(
        [git, "clone", "-q", f"ssh://127.0.0.1{folder}", str(clone)],
        check=True,
        timeout=60,
        capture_output=True,
        env=os.environ | {"GIT_SSH_COMMAND": shlex.join(to), "GIT_SSH_VARIANT": "simple"},
    )
    assert (clone / "canary.txt").read_bytes() == file.read_bytes()
    words = ("-o", "User=ana+web-masked", f"127.0.0.1:{file}", str(world.folder / "copied"))
    for old in ((), ("-O",)):
        subprocess.run([stock("scp"), *old, *options(ana), *words], check=True, timeout=60)
        assert (world.folder / "copied").read_bytes() == file.read_bytes()
