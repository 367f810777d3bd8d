"""``hoop login``, ``logout`` and ``status`` as processes, with a real SSH door and provider."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pexpect
import pytest

from hoopcli.demo.oauth import Memory, Person
from hoopcli.demo.provider import DemoProvider, approve, running
from tests.servers import private_folder
from tests.signing import Desk, Gate, running_desk

PEOPLE = {
    "ana": Person("ana", "ana@shop.example", ("engineering",)),
    "ben": Person("ben", "ben@shop.example", ("engineering", "dba")),
}


@pytest.fixture
def provider() -> Iterator[DemoProvider]:
    with running(Memory(dict(PEOPLE), interval=0.2)) as provider:
        yield provider


@pytest.fixture
def desk(provider: DemoProvider) -> Iterator[Desk]:
    with private_folder() as folder, running_desk(folder, provider.issuer) as desk:
        yield desk


def at_the_page(
    provider: DemoProvider, person: str, answer: str = "approve"
) -> Callable[[str, str], None]:
    return lambda code, _page: approve(provider.issuer, code, person, answer=answer)


def sealed(desk: Desk) -> list[Path]:
    return list((desk.folder / "home").rglob("*.sealed"))


def test_signing_in_and_out(desk: Desk, provider: DemoProvider) -> None:
    before = desk.hoop("status")
    assert (before.returncode, before.stdout) == (3, "")
    assert "hoop login" in before.stderr

    status, said = desk.login(at_the_page(provider, "ben"))
    assert status == 0, said
    assert "Signed in as ben@shop.example (dba, engineering) until" in said

    shown = desk.hoop("status", "-o", "json")
    assert shown.returncode == 0, shown.stderr
    told = json.loads(shown.stdout)
    assert told["principal"]["name"] == "ben@shop.example"
    assert told["kept_in"] == "encrypted file"
    assert desk.hoop("status", "-o", "names").stdout == "ben@shop.example\n"

    again = desk.hoop("login")
    assert again.returncode == 0
    assert "You are signed in" in again.stderr

    assert len(provider.oauth.memory.refresh_tokens) == 1
    out = desk.hoop("logout")
    assert (out.returncode, out.stderr) == (0, "Signed out.\n")
    assert desk.hoop("status").returncode == 3
    assert not sealed(desk)
    assert not provider.oauth.memory.refresh_tokens  # revoked at the provider
    who = told["principal"]["id"]
    assert desk.ask(lambda gate: gate.identity.identity_until(who)) == 0  # and at the agent


def test_what_is_kept_is_private_and_not_readable(desk: Desk, provider: DemoProvider) -> None:
    desk.login(at_the_page(provider, "ana"))
    home = desk.folder / "home"
    modes = {path: path.stat().st_mode & 0o777 for path in [home, *home.rglob("*")]}
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items()), modes
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"PRIVATE KEY" not in kept
    assert b"hoop_" not in kept
    refresh = next(iter(provider.oauth.memory.refresh_tokens))
    assert refresh.encode() not in kept


def test_a_wrong_passphrase_opens_nothing(desk: Desk, provider: DemoProvider) -> None:
    desk.login(at_the_page(provider, "ana"))
    done = desk.hoop("status", HOOP_PASSPHRASE="wrong horse")
    assert done.returncode == 3
    assert "passphrase" in done.stderr


def test_a_wrong_passphrase_signs_nobody_out(desk: Desk, provider: DemoProvider) -> None:
    desk.login(at_the_page(provider, "ana"))
    done = desk.hoop("logout", HOOP_PASSPHRASE="wrong horse")
    assert done.returncode == 3
    assert "not signed out" in done.stderr
    assert desk.hoop("status").returncode == 0


def test_a_sign_in_that_cannot_be_kept_is_ended_everywhere(
    desk: Desk, provider: DemoProvider
) -> None:
    def in_the_way(code: str, page: str) -> None:
        key = json.loads((desk.folder / "run" / "agent.json").read_bytes())["host_key"]
        name = f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.sealed"
        (desk.folder / "home" / "credentials" / name).mkdir(mode=0o700, parents=True)
        approve(provider.issuer, code, "ana")

    status, said = desk.login(in_the_way)
    assert status == 1
    assert ".sealed" in said
    assert not provider.oauth.memory.refresh_tokens
    assert desk.hoop("status").returncode == 3


def test_a_home_that_cannot_be_written_is_told_of_before_the_page(desk: Desk) -> None:
    (desk.folder / "home").mkdir(mode=0o777)
    (desk.folder / "home").chmod(0o777)
    done = desk.hoop("login", "--no-browser")
    assert done.returncode == 1
    assert "not yours alone" in done.stderr
    assert "Code:" not in done.stderr


def test_without_keyring_and_passphrase_nobody_is_asked_to_sign_in(desk: Desk) -> None:
    done = desk.hoop("login", "--no-browser", HOOP_PASSPHRASE="")
    assert done.returncode == 3
    assert "HOOP_PASSPHRASE" in done.stderr
    assert "Code:" not in done.stderr


def test_a_denied_sign_in_leaves_nothing_behind(desk: Desk, provider: DemoProvider) -> None:
    status, said = desk.login(at_the_page(provider, "ana", "deny"))
    assert status == 1
    assert "denied" in said
    assert not sealed(desk)
    assert not (desk.folder / "home" / "profile.toml").exists()


def test_ctrl_c_while_waiting_leaves_nothing_behind(desk: Desk) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "hoopcli", "login", "--no-browser"],
        env=desk.environ,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("Waiting"):
                process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert not sealed(desk)
    assert not (desk.folder / "home" / "profile.toml").exists()


def test_a_code_nobody_enters_ends(provider: DemoProvider) -> None:
    provider.oauth.memory.code_life = 3
    with private_folder() as folder, running_desk(folder, provider.issuer) as desk:
        status, said = desk.login(lambda _code, _page: None)
    assert status == 1
    assert "in time" in said


def test_signing_in_again_ends_the_earlier_sign_in(desk: Desk, provider: DemoProvider) -> None:
    desk.login(at_the_page(provider, "ana"))
    status, _ = desk.login(at_the_page(provider, "ben"), "--force")
    assert status == 0
    assert desk.hoop("status", "-o", "names").stdout == "ben@shop.example\n"
    assert {t.person.name for t in provider.oauth.memory.refresh_tokens.values()} == {"ben"}

    async def live(gate: Gate) -> list[int]:
        people = await gate.store.principals_in(["engineering"])
        return [await gate.identity.identity_until(person.id) for person in people]

    assert sorted(bool(until) for until in desk.ask(live)) == [False, True]


def test_who_was_signed_out_by_the_agent_signs_in_again_without_force(
    desk: Desk, provider: DemoProvider
) -> None:
    """A leaver who is back: what this machine keeps still looks good, and the agent ended it."""
    desk.login(at_the_page(provider, "ana"))
    status, said = desk.login(at_the_page(provider, "ana"))
    assert "You are signed in as" in str(said)

    async def sign_out(gate: Gate) -> None:
        for person in await gate.store.principals_in(["engineering"]):
            await gate.store.revoke_tokens_of(person.id)

    desk.ask(sign_out)
    status, said = desk.login(at_the_page(provider, "ana"))
    assert status == 0
    assert "You are signed in as" not in str(said)
    assert desk.hoop("status", "-o", "names").stdout == "ana@shop.example\n"


# --- renewal --------------------------------------------------------------------------------------


def test_a_sign_in_is_renewed_in_silence(desk: Desk, provider: DemoProvider) -> None:
    desk.login(at_the_page(provider, "ana"))
    first = set(provider.oauth.memory.refresh_tokens)
    for _ in range(3):
        desk.age(10)
        done = desk.hoop("status", "-o", "names")
        assert (done.returncode, done.stdout, done.stderr) == (0, "ana@shop.example\n", "")
    assert not first & set(provider.oauth.memory.refresh_tokens)  # rotated
    assert desk.hoop("logout").returncode == 0

    async def live(gate: Gate) -> list[int]:
        people = await gate.store.principals_in(["engineering"])
        return [await gate.identity.identity_until(person.id) for person in people]

    assert desk.ask(live) == [0]  # no renewed token is left behind


def test_todays_groups_count_after_a_renewal(desk: Desk, provider: DemoProvider) -> None:
    desk.login(at_the_page(provider, "ana"))
    moved = replace(PEOPLE["ana"], groups=("support",))
    provider.oauth.memory.people["ana"] = moved
    desk.age(10)
    told = json.loads(desk.hoop("status", "-o", "json").stdout)
    assert told["principal"]["groups"] == ["support"]


def test_somebody_the_provider_dropped_is_signed_out_when_the_token_ends(
    desk: Desk, provider: DemoProvider
) -> None:
    desk.login(at_the_page(provider, "ana"))
    del provider.oauth.memory.people["ana"]
    desk.age(10)
    assert desk.hoop("status").returncode == 0  # what there is holds to its own end
    desk.age(-1)
    done = desk.hoop("status")
    assert done.returncode == 3
    assert "renewing it failed" in done.stderr


def test_a_provider_that_is_away_does_not_end_a_token_that_holds(
    desk: Desk, provider: DemoProvider
) -> None:
    desk.login(at_the_page(provider, "ana"))
    provider.shutdown()
    provider.server_close()
    desk.age(10)
    assert desk.hoop("status").returncode == 0
    desk.age(-1)
    assert desk.hoop("status").returncode == 3


def test_commands_at_the_same_time_renew_once(desk: Desk, provider: DemoProvider) -> None:
    desk.login(at_the_page(provider, "ana"))
    desk.age(10)
    rotated = set(provider.oauth.memory.refresh_tokens)
    several = [
        subprocess.Popen(
            [sys.executable, "-m", "hoopcli", "status", "-o", "names"],
            env=desk.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    answers = [process.communicate(timeout=60) for process in several]
    assert answers == [("ana@shop.example\n", "")] * 4
    assert len(provider.oauth.memory.refresh_tokens) == 1
    assert not rotated & set(provider.oauth.memory.refresh_tokens)


# --- which agent ----------------------------------------------------------------------------------


def test_an_agent_that_is_down_is_unreachable(desk: Desk, provider: DemoProvider) -> None:
    desk.login(at_the_page(provider, "ana"))
    (desk.run / "agent.json").rename(desk.run / "gone")
    assert desk.hoop("status").returncode == 7
    assert desk.hoop("login", "--force").returncode == 7
    (desk.run / "gone").rename(desk.run / "agent.json")
    (desk.run / "api.sock").unlink()
    assert desk.hoop("status").returncode == 7


def test_logout_works_while_the_agent_is_down(desk: Desk, provider: DemoProvider) -> None:
    desk.login(at_the_page(provider, "ana"))
    (desk.run / "agent.json").unlink()
    done = desk.hoop("logout")
    assert done.returncode == 1
    assert "not everywhere" in done.stderr
    assert not sealed(desk)
    assert not provider.oauth.memory.refresh_tokens


def test_another_host_key_than_the_pinned_one_is_an_error(
    desk: Desk, provider: DemoProvider
) -> None:
    desk.login(at_the_page(provider, "ana"))
    told = json.loads((desk.run / "agent.json").read_text())
    (desk.run / "agent.json").write_text(json.dumps(told | {"host_key": "SHA256:other"}))
    for command in (["status"], ["login", "--force"]):
        done = desk.hoop(*command)
        assert done.returncode == 1
        assert "another host key" in done.stderr
        assert told["host_key"] in done.stderr


def test_a_squatter_behind_the_right_words_learns_nothing(
    desk: Desk, provider: DemoProvider, tmp_path: Path
) -> None:
    """agent.json tells the pinned key, but somebody else's SSH server answers at the port."""
    desk.login(at_the_page(provider, "ana"))

    async def squat(_gate: Gate) -> str:
        heard: list[str] = []

        class Squatter(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                heard.append(username)
                return True

        key = asyncssh.generate_private_key("ssh-ed25519")
        squatter = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[key], server_factory=Squatter
        )
        squatters.append((squatter, heard))
        return f"127.0.0.1:{squatter.get_port()}"

    squatters: list[tuple[asyncssh.SSHAcceptor, list[str]]] = []
    told = json.loads((desk.run / "agent.json").read_text())
    address = desk.ask(squat)
    (desk.run / "agent.json").write_text(json.dumps(told | {"ssh": address}))
    done = desk.hoop("logout")
    assert "another host key" in done.stderr
    assert squatters[0][1] == []  # not even a user name
    desk.loop.call_soon_threadsafe(squatters[0][0].close)


def test_a_run_folder_that_others_can_write_is_not_believed(desk: Desk) -> None:
    desk.run.chmod(0o777)
    done = desk.hoop("login", "--no-browser")
    assert done.returncode == 1
    assert "written by others" in done.stderr


def test_a_remote_agents_key_is_shown_and_asked_for(desk: Desk, provider: DemoProvider) -> None:
    address = desk.gate.address
    key = desk.gate.keys.fingerprint
    environ = {k: v for k, v in desk.environ.items() if k != "HOOP_AGENT"}

    unasked = desk.hoop("login", "--agent", address, HOOP_AGENT="")
    assert unasked.returncode == 1
    assert key in unasked.stderr
    assert "--fingerprint" in unasked.stderr

    words = ["-m", "hoopcli", "login", "--no-browser", "--agent", address]
    terminal = pexpect.spawn(
        sys.executable,
        words,
        env=environ,
        encoding="utf-8",
        timeout=30,
    )
    terminal.expect_exact(key)
    terminal.expect_exact("Type yes")
    terminal.sendline("yes")
    terminal.expect(r"Code: (\S+)")
    approve(provider.issuer, terminal.match.group(1), "ana")
    terminal.expect_exact("Signed in as ana@shop.example")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_a_remote_agents_key_may_be_given_instead(desk: Desk, provider: DemoProvider) -> None:
    address, key = desk.gate.address, desk.gate.keys.fingerprint
    page = at_the_page(provider, "ana")
    status, said = desk.login(page, "--agent", address, "--fingerprint", key, HOOP_AGENT="")
    assert status == 0, said
    assert desk.hoop("logout", "--agent", address).returncode == 0

    wrong = desk.hoop("login", "--agent", address, "--fingerprint", "SHA256:wrong", HOOP_AGENT="")
    assert wrong.returncode == 1
    assert "another host key" in wrong.stderr


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from hoopcli.commands import login, logout, status; import hoopcli.signin;"
        "print(*[m for m in ('asyncssh', 'httpx', 'keyring', 'cryptography', 'tomlkit')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_secrets_are_in_no_repr() -> None:
    from hoopcli.credentials import Credentials
    from hoopcli.oidc import Tokens

    kept = Credentials("p-1", "ana", (), "SECRET1", 0, 0, 0, "SECRET2", "", "SECRET3", ("SECRET4",))
    assert not re.search("SECRET", f"{kept!r} {Tokens('SECRET5', 'SECRET6')!r}")
