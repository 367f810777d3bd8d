"""Passwords: from where their reference says, or from a command within its bounds."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, cast

import keyring
import pytest
from keyring.backend import KeyringBackend

from hoopagent.config import Config, Credential
from hoopagent.secrets import Secrets, SecretUnread, read_secret, run_command
from hoopcore.model import SECOND


def test_a_reference_is_read_where_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "one")
    (tmp_path / "secret").write_text("two\r\n")
    assert read_secret("env:DB_PASSWORD", tmp_path) == "one"
    assert read_secret("file:secret", tmp_path) == "two"
    for nothing in ("env:NO_SUCH", "file:none", "keyring:hoop/nobody-here"):
        with pytest.raises(SecretUnread, match=f"nothing is found at {nothing}"):
            read_secret(nothing, tmp_path)


class Ring(KeyringBackend):
    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        return {"hoop/prod": {"app": "from the ring"}}.get(service, {}).get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


def test_a_keyring_is_asked_by_service_and_account(tmp_path: Path) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(Ring())  # type: ignore[no-untyped-call]  # keyring has no types there
    try:
        assert read_secret("keyring:hoop/prod/app", tmp_path) == "from the ring"
        with pytest.raises(SecretUnread):
            read_secret("keyring:hoop/prod/other", tmp_path)
    finally:
        keyring.set_keyring(before)


# --- commands -------------------------------------------------------------------------------------


def python(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


def commanded(argv: tuple[str, ...], limit: float = 10.0) -> str:
    return run_command(argv, Path("/tmp"), limit)


def test_a_command_prints_the_password() -> None:
    assert commanded(python("print('t0ken=')")) == "t0ken="
    assert commanded(python("import sys; sys.stdout.write('t0ken')")) == "t0ken"


def test_no_shell_reads_the_command() -> None:
    assert commanded((sys.executable, "-c", "import sys; print(sys.argv[1])", "$(id) ; *")) == (
        "$(id) ; *"
    )


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (python("print('t0ken'); raise SystemExit(3)"), "failed (exit status 3)"),
        (python("print('')"), "did not print one line"),
        (python("pass"), "did not print one line"),
        (python("print('t0ken\\nand more')"), "did not print one line"),
        (python("print('t0ken' * 100_000)"), "printed more than a password"),
        (python("import sys; sys.stdout.buffer.write(b't0ken\\xff')"), "printed no UTF-8"),
        (("/no/such/program", "t0ken"), "/no/such/program does not start"),
    ],
)
def test_a_command_that_fails_says_so_and_not_what_it_printed(
    argv: tuple[str, ...], why: str
) -> None:
    with pytest.raises(SecretUnread) as raised:
        commanded(argv)
    assert why in str(raised.value)
    assert "t0ken" not in str(raised.value)


def test_a_command_that_takes_too_long_is_ended_with_all_it_has_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    child = f"import os,time; open({str(alive)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import subprocess,sys; subprocess.run([sys.executable, '-c', {child!r}])"
    began = time.monotonic()
    with pytest.raises(SecretUnread, match="longer than 2 s"):
        commanded(python(parent), limit=2)
    assert time.monotonic() - began < 30
    pid = int(alive.read_text())
    for _ in range(500):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.01)
    raise AssertionError("what the command had started is still there")


# --- how long it is kept --------------------------------------------------------------------------


def counting(tmp_path: Path, keep: str) -> Credential:
    """A command that prints how often it was run."""
    file = tmp_path / "count"
    text = f"import os; f=open({str(file)!r}, 'a'); f.write('x'); f.close()"
    text += f"; print(os.path.getsize({str(file)!r}))"
    return Credential(user="app", command=python(text), command_keep=keep)


def test_what_a_command_printed_is_kept_as_long_as_the_config_says(tmp_path: Path) -> None:
    now = [0]

    class Folder:
        folder = tmp_path

    async def run() -> list[str | None]:
        secrets = Secrets(lambda: cast(Config, Folder), lambda: now[0])
        kept = counting(tmp_path, "5m")
        found: list[Any] = []
        found += await asyncio.gather(*(secrets.password("db", kept) for _ in range(5)))
        now[0] = 299 * SECOND
        found.append(await secrets.password("db", kept))
        now[0] = 300 * SECOND
        found.append(await secrets.password("db", kept))
        secrets.forget("db")  # the target did not take it
        found.append(await secrets.password("db", kept))
        never = counting(tmp_path, "0s")
        return [*found, await secrets.password("x", never), await secrets.password("x", never)]

    assert asyncio.run(run()) == ["1"] * 6 + ["2", "3", "4", "5"]


def test_a_kept_password_is_in_no_repr(tmp_path: Path) -> None:
    class Folder:
        folder = tmp_path

    async def run() -> str:
        secrets = Secrets(lambda: cast(Config, Folder), lambda: 0)
        credential = Credential(user="app", command=python("print('t0ken-1')"), command_keep="5m")
        assert await secrets.password("db", credential) == "t0ken-1"
        return repr(vars(secrets))

    said = asyncio.run(run())
    assert "_Kept" in said
    assert "t0ken-1" not in said.replace("print('t0ken-1')", "")
