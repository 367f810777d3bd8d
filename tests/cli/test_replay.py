"""``sessions``, ``replay``, ``verify``, ``kill``: what is asked, what is shown, the exit codes."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hoopcore.recording import Chain, End, Event, Finished, Head, Header, Said, key_id
from hoopcore.recording.frames import Packer, Seal, write_seal
from tests.cli.agent import ADA, FakeAgent, at
from tests.cli.conftest import Hoop, Terminal, ended
from tests.cli.recorded import file_of

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
SESSION = "s-1c9fz4m2qk"


def recording(*, closed: bool = True) -> tuple[bytes, str]:
    """A recording's file, and its head."""
    import hashlib

    chain = Chain()
    events: list[Event] = [
        Header(session=SESSION, principal=ADA["id"], target="prod-db", key=key_id(PUBLIC)),
        Head(key=key_id(PUBLIC)),
        Said(seq=1, text="select 1\x1b[2J", t=1000),
        Finished(seq=1, tag="SELECT 1", rows=1, t=2000),
        Said(seq=2, text="delete from orders", verdict="refuse", rule="no-where", t=400_000),
    ]
    if closed:
        events += [End(cause="client left", t=500_000), Head(key=key_id(PUBLIC))]
    packer, data = Packer(), b""
    for event in events:
        is_head = isinstance(event, Head)
        line = chain.head(event, SESSION, KEY.sign) if is_head else chain.seal(event)  # type: ignore[arg-type] # is_head says so
        data += packer.pack(line)
    head = chain.hash.decode()
    if closed:
        data += packer.close()
        digest = hashlib.sha256(data).hexdigest()
        data += write_seal(Seal(1, SESSION, chain.n, head, digest, [(0, 1)]), KEY.sign)
    return data, head


def session(**changes: object) -> dict[str, object]:
    return {
        "id": SESSION,
        "principal": ADA,
        "target": "prod-db",
        "database": "shop",
        "door": "local",
        "client": "psql",
        "grants": ["grt-7h2vd9xk4p"],
        "started": at(-12),
        "ended": at(-2),
        "end_cause": "client left",
        "statements": 2,
        "refused": 1,
        "masked": 3,
        "head": recording()[1],
    } | changes


def serve(agent: FakeAgent, data: bytes, **changes: object) -> None:
    """The agent has this session and this recording of it."""
    one = session(**changes)
    agent.sessions = [one]
    status = {"keys": {"recording_public": base64.b64encode(PUBLIC).decode()}}
    for path, value in ((f"/v1/sessions/{SESSION}", one), ("/v1/status", status)):
        agent.broken[path] = (200, "application/json", json.dumps(value).encode())
    agent.broken[f"/v1/sessions/{SESSION}/recording"] = (200, "application/zstd", data)


@pytest.fixture
def served(agent: FakeAgent) -> FakeAgent:
    serve(agent, recording()[0])
    return agent


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "agent.pub"
    path.write_text(base64.b64encode(PUBLIC).decode() + "\n")
    return path


# --- sessions -----------------------------------------------------------------------------------


def test_sessions_show_who_where_when_and_what_it_came_to(served: FakeAgent, hoop: Hoop) -> None:
    served.sessions.append(session(id="s-2c9fz4m2qk", ended=None, end_cause=""))
    done = hoop("sessions", COLUMNS="120")
    assert done.returncode == 0, done.stderr
    heads, first, second = done.stdout.splitlines()
    assert heads.split()[:6] == ["SESSION", "WHO", "TARGET", "STARTED", "TOOK", "END"]
    assert "11 min ago" in first
    assert "10 min" in first
    assert "client left" in first
    assert "runs" in second
    assert hoop("sessions", "-o", "names").stdout.split() == [SESSION, "s-2c9fz4m2qk"]


def test_no_id_of_a_session_is_broken_in_eighty_columns(served: FakeAgent, hoop: Hoop) -> None:
    someone = {"id": "p-someone000", "name": "somebody@a-company.example"}
    served.sessions[:] = [session(principal=someone, statements=1234, refused=2, masked=77)]
    shown = hoop("sessions").stdout
    assert SESSION in shown
    assert "1234 statements, 2 refused, 77 masked" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_sessions_ask_for_what_was_said(served: FakeAgent, hoop: Hoop) -> None:
    hoop("sessions", "--mine", "--target", "prod-db", "--live", "--since", "2026-11-20")
    asked = served.asked("GET", "/v1/sessions")[0].query
    assert asked == {
        "mine": "1",
        "target": "prod-db",
        "live": "1",
        "since": "2026-11-20T00:00:00Z",
        "limit": "200",
    }
    assert hoop("sessions", "--since", "2h").returncode == 0
    assert served.asked("GET", "/v1/sessions")[1].query["since"].endswith("Z")
    assert hoop("sessions", "--since", "yesterday-ish").returncode == 2


# --- replay ---------------------------------------------------------------------------------------


def test_replay_in_a_pipe_tells_all_at_once_and_nothing_a_terminal_obeys(
    served: FakeAgent, hoop: Hoop
) -> None:
    done = hoop("replay", SESSION)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"select 1\x1b[2J" in done.stdout
    assert "\x1b" not in done.stdout
    assert "refused 2      delete from orders" in done.stdout


def test_replay_in_a_terminal_is_a_player_and_leaves_it_clean(
    served: FakeAgent, terminal: Terminal
) -> None:
    child = terminal("replay", SESSION)
    child.expect_exact("\x1b[?1049h")  # a screen of its own
    child.expect_exact("verified: complete and unchanged")
    child.expect_exact("row 1 of 3")
    child.send("q")
    child.expect_exact("\x1b[?1049l")
    assert ended(child) == 0
    child = terminal("replay", SESSION)
    child.expect_exact("row 1 of 3")
    child.sendintr()
    child.expect_exact("\x1b[?1049l")
    assert ended(child) == 130


def test_a_player_that_is_ended_by_a_signal_leaves_the_terminal_clean(
    served: FakeAgent, terminal: Terminal
) -> None:
    child = terminal("replay", SESSION)
    child.expect_exact("row 1 of 3")
    child.kill(signal.SIGTERM)
    child.expect_exact("\x1b[?1049l")
    assert ended(child) == 143


def test_replay_in_a_terminal_is_lines_where_it_cannot_be_a_player(
    served: FakeAgent, terminal: Terminal
) -> None:
    dumb = terminal("replay", SESSION, TERM="dumb")
    assert ended(dumb) == 0
    assert "refused 2      delete from orders" in (dumb.before or "")
    assert "\x1b" not in (dumb.before or "")
    bare = terminal("replay", SESSION, TEST_WITHOUT="textual")
    assert ended(bare) == 0
    assert "pip install 'hoopcli[tui]'" in (bare.before or "")
    assert "refused 2" in (bare.before or "")
    no = terminal("replay", SESSION, "--follow", TEST_WITHOUT="textual")
    assert ended(no) == 2


def test_replay_as_lines_has_colours_unless_nobody_wants_them(
    served: FakeAgent, terminal: Terminal
) -> None:
    child = terminal("replay", SESSION, "-o", "text", "--speed", "100")
    child.expect_exact("\x1b[1;31mrefused 2")
    assert ended(child) == 0
    plain = terminal("replay", SESSION, "--no-wait", NO_COLOR="1")
    assert ended(plain) == 0
    assert "\x1b" not in (plain.before or "")


def test_replay_says_what_does_not_go_together(served: FakeAgent, hoop: Hoop) -> None:
    for wrong in (
        ["--follow", "-o", "json"],
        ["--follow"],  # no terminal
        ["--from", "4", "--to", "2"],
        ["--max-idle", "long"],
        ["--speed", "0"],
        ["--speed", "2", "--no-wait"],
        ["-o", "mp4"],
    ):
        done = hoop("replay", SESSION, *wrong)
        assert (done.returncode, done.stdout) == (2, ""), wrong
        assert done.stderr.startswith("hoop: ")


def test_replay_from_and_to_are_numbers_of_statements(served: FakeAgent, hoop: Hoop) -> None:
    for output in ("text", "sql", "cast"):
        shown = hoop("replay", SESSION, "-o", output, "--to", "1").stdout
        assert "select 1" in shown
        assert "delete from orders" not in shown
        shown = hoop("replay", SESSION, "-o", output, "--from", "2").stdout
        assert "select 1" not in shown
        assert "delete from orders" in shown


def test_replay_gives_events_and_a_script(served: FakeAgent, hoop: Hoop) -> None:
    events = json.loads(hoop("replay", SESSION, "-o", "json").stdout)
    assert [one["type"] for one in events] == [
        "header",
        "statement",
        "finished",
        "statement",
        "end",
    ]
    assert "-- delete from orders" in hoop("replay", SESSION, "-o", "sql").stdout
    later = json.loads(hoop("replay", SESSION, "-o", "json", "--from", "2").stdout)
    assert [one.get("seq") for one in later] == [None, 2, None]


def test_replay_of_what_was_changed_shows_it_and_says_so(agent: FakeAgent, hoop: Hoop) -> None:
    serve(agent, recording()[0], head="0" * 64)
    done = hoop("replay", SESSION)
    assert "delete from orders" in done.stdout
    assert "does not verify" in done.stderr


def test_replay_of_a_running_session_says_that_it_runs(agent: FakeAgent, hoop: Hoop) -> None:
    serve(agent, recording(closed=False)[0], ended=None, end_cause="", head="")
    done = hoop("replay", SESSION)
    assert done.returncode == 0
    assert "delete from orders" in done.stdout
    assert "so far" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "no-such id"),
        ("replay", SESSION, "--speed", "0"),
        ("replay", SESSION, "--speed", "2", "--no-wait"),
        ("verify", "../../etc"),
        ("verify", "S"),
        ("kill", "x", "--reason", "y"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    arguments: tuple[str, ...], served: FakeAgent, hoop: Hoop
) -> None:
    done = hoop(*arguments)
    assert done.returncode == 2, done.stderr
    assert served.seen == []


# --- verify ---------------------------------------------------------------------------------------


def test_verify_says_that_a_recording_is_whole(served: FakeAgent, hoop: Hoop) -> None:
    done = hoop("verify", SESSION)
    assert (done.returncode, done.stderr) == (0, "")
    assert "complete and unchanged" in done.stdout
    assert json.loads(hoop("verify", SESSION, "-o", "json").stdout)["lines"] == 7


def test_verify_says_the_first_line_that_does_not_fit(agent: FakeAgent, hoop: Hoop) -> None:
    data = bytearray(recording()[0])
    data[-300] ^= 1
    serve(agent, bytes(data))
    done = hoop("verify", SESSION)
    assert done.returncode == 6
    assert "this recording was changed" in done.stderr


def test_verify_finds_a_recording_that_was_exchanged(agent: FakeAgent, hoop: Hoop) -> None:
    serve(agent, recording()[0], head="f" * 64)
    done = hoop("verify", SESSION)
    assert done.returncode == 6
    assert "not the one the agent keeps" in done.stderr


def test_verify_tells_a_running_session_from_one_whose_end_is_missing(
    agent: FakeAgent, hoop: Hoop
) -> None:
    data = recording(closed=False)[0]
    serve(agent, data, ended=None, head="")
    assert hoop("verify", SESSION).returncode == 0
    serve(agent, data)
    done = hoop("verify", SESSION)
    assert done.returncode == 6
    assert "not whole" in done.stderr


def test_a_file_is_verified_without_any_agent(hoop: Hoop, key: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{SESSION}.jsonl.zst"
    path.write_bytes(recording()[0])
    assert hoop("verify", str(path), "--key", str(key), TEST_TOKEN="").returncode == 0
    assert hoop("replay", str(path), "--no-wait", TEST_TOKEN="").returncode == 0
    path.write_bytes(recording()[0][:-1])
    assert hoop("verify", str(path), "--key", str(key)).returncode == 6
    assert hoop("verify", str(path)).returncode == 2
    assert hoop("verify", str(tmp_path / "none.zst"), "--key", str(key)).returncode == 1


def test_a_key_may_be_base64_hex_or_pem_and_must_be_the_right_one(
    hoop: Hoop, key: Path, tmp_path: Path
) -> None:
    path = tmp_path / "r.jsonl.zst"
    path.write_bytes(recording()[0])
    pem = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for content, code in ((PUBLIC.hex().encode(), 0), (pem, 0), (b"x", 2), (b"00" * 32, 6)):
        key.write_bytes(content)
        assert hoop("verify", str(path), "--key", str(key)).returncode == code


# --- kill -----------------------------------------------------------------------------------------


def test_kill_sends_the_reason_and_shows_how_it_ended(served: FakeAgent, hoop: Hoop) -> None:
    one = json.dumps(session(end_cause="killed")).encode()
    served.broken[f"/v1/sessions/{SESSION}/kill"] = (200, "application/json", one)
    done = hoop("kill", SESSION, "--reason", "it holds a lock")
    assert done.returncode == 0, done.stderr
    assert "killed" in done.stdout
    assert served.asked("POST", f"/v1/sessions/{SESSION}/kill")[0].body == {
        "reason": "it holds a lock"
    }
    assert hoop("kill", SESSION).returncode == 2


def test_printing_a_recording_takes_no_more_memory_the_longer_it_is(tmp_path: Path) -> None:
    """The lines of the longer one are three times as many."""
    used = []
    for count in (15_000, 45_000):
        path = tmp_path / f"{count}.jsonl.zst"
        path.write_bytes(file_of([Said(seq=seq, text=f"select {seq}") for seq in range(count)]))
        code = (
            "import sys, hoopcli.__main__ as m\n"
            f"sys.argv = ['hoop', 'replay', {str(path)!r}, '-o', 'json']\n"
            "try: m.main()\n"
            "finally: print(open('/proc/self/status').read().partition('VmHWM:')[2],"
            " file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
        )
        assert len(json.loads(done.stdout)) > count, done.stderr
        used.append(int(done.stderr.rpartition(" kB\nVmRSS")[0].split()[-1]))
    assert used[1] - used[0] < 12 << 10  # KiB; the events of one are 30 MiB more than of the other
