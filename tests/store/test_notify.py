"""People are told: by a webhook that is slow, broken or away, by Slack's form, by a program.

The servers are real; what is told comes from requests and grants as people make them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import os
import socketserver
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hoopagent.audit_follow import Following
from hoopagent.background import until
from hoopagent.config import AuditSink, Notify
from hoopagent.notify import Notifier
from hoopcore.model import SECOND, Answer, Held, RequestState
from tests.store.test_store import a_request
from tests.store.world import HOUR, World

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()


@dataclass
class Hook:
    """A webhook: ``answers`` is what it says next, the last one for ever."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [200])
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)  # unset: it is slow

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.heard]


@pytest.fixture
def hook() -> Iterator[Hook]:
    told = Hook()
    told.hold.set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.heard.append((dict(self.headers), body))
            told.hold.wait(20)
            status = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            self.send_response(status)
            if status == 302:
                self.send_header("Location", told.url + "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/hook/s3cret-path"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield told
    told.hold.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    (tmp_path / "hook.secret").write_text(SECRET + "\n")
    world.config = world.config.model_copy(update={"folder": tmp_path})
    return tmp_path


@pytest.fixture
async def telling(world: World, hook: Hook, folder: Path) -> Callable[..., Following]:
    """A follower that has seen all there was, and tells what comes."""

    def made(**section: Any) -> Following:
        if "command" not in section:
            section = {"url": hook.url, "secret": "file:hook.secret"} | section
        one = Notify(name="hook", **section)
        notifier = Notifier(one, world.store, lambda: world.config, lambda: world.time)
        return Following(world.store, notifier, "agent", lambda: world.time, notifier.oldest)

    await made().step()
    return made


async def told_all(following: Following, most: int = 50) -> bool:
    """Whether all steps went well, until there is nothing left."""
    for _ in range(most):
        if not await following.step():
            return False
        if following._rests:
            return True
    raise AssertionError("it never comes to an end")


# --- the webhook ----------------------------------------------------------------------------------


async def test_a_request_is_told_with_the_command_to_type_and_signed(
    world: World, hook: Hook, telling: Callable[..., Following]
) -> None:
    asked = await world.ask(world.ana)
    assert await told_all(telling())
    ((headers, body),) = hook.heard
    sent = json.loads(body)
    assert sent["event"] == "request.made"
    assert sent["text"] == "ana@test asks for prod-db: order 4711 is stuck"
    assert sent["command"] == f"hoop requests {asked['id']}"
    assert sent["owners"] == ["owners"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = hmac.new(bytes(range(24)), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    assert headers["webhook-id"] == sent["id"]
    assert int(headers["webhook-timestamp"]) == world.time // SECOND


async def test_what_failed_is_told_again_under_the_same_id_and_in_order(
    world: World, hook: Hook, telling: Callable[..., Following]
) -> None:
    hook.answers = [500, 503, 302, 200]
    first = await world.ask(world.ana)
    second = await world.ask(world.ana, "prod-vault")
    following = telling()
    for status in (500, 503, 302):  # who sends us elsewhere is not followed
        assert not await following.step()
        (told,) = await world.store.followers()
        assert told.problem == f"127.0.0.1 answered {status}"
    assert await told_all(following)
    assert [one["request"] for one in hook.bodies()] == [first["id"]] * 4 + [second["id"]]
    assert len({headers["webhook-id"] for headers, _ in hook.heard[:4]}) == 1
    assert (await world.store.followers())[0].problem == ""


async def test_a_restart_loses_nothing_and_repeats_nothing(
    world: World, hook: Hook, telling: Callable[..., Following]
) -> None:
    hook.answers = [500]
    asked = await world.ask(world.ana)
    assert not await telling().step()
    hook.answers = [200]
    assert await told_all(telling())  # another agent, or the same one started again
    assert await told_all(telling())
    assert [one["request"] for one in hook.bodies()] == [asked["id"]] * 2


async def test_a_webhook_that_is_slow_or_away_blocks_nobody(
    world: World, hook: Hook, telling: Callable[..., Following]
) -> None:
    hook.hold.clear()
    await world.granted(world.ana)  # nobody waits for the webhook
    assert not await telling(limit="1s").step()
    assert "no answer within 1 s" in (await world.store.followers())[0].problem
    hook.hold.set()
    assert not await telling(url="http://127.0.0.1:9/").step()
    assert (await world.store.followers())[0].problem == "127.0.0.1: ConnectError"


async def test_a_message_that_is_refused_for_what_it_is_does_not_stop_the_next(
    world: World, hook: Hook, telling: Callable[..., Following]
) -> None:
    hook.answers = [400, 200]
    await world.ask(world.ana)
    second = await world.ask(world.ana, "prod-vault")
    assert await told_all(telling())
    assert hook.bodies()[-1]["request"] == second["id"]
    assert (await world.store.followers())[0].lost == 1


async def test_what_is_too_old_is_not_told_any_more(
    world: World, hook: Hook, telling: Callable[..., Following]
) -> None:
    await world.ask(world.ana)
    world.wait(25 * HOUR)
    late = await world.ask(world.ana, "prod-vault")
    assert await told_all(telling())
    assert [one["request"] for one in hook.bodies()] == [late["id"]]


async def test_no_secret_is_in_what_is_kept_or_logged(
    world: World, hook: Hook, telling: Callable[..., Following], capsys: pytest.CaptureFixture[str]
) -> None:
    hook.answers = [500]
    await world.ask(world.ana)
    for change in ({}, {"url": "https://u:pw@nowhere.invalid/s3cret-path"}, {"url": "http://x/s3"},
                   {"secret": "file:nothing"}, {"url": "file:nothing"}):  # fmt: skip
        assert not await telling(**change).step()
        kept = (await world.store.followers())[0].problem
        for secret in ("s3cret", "s3", "pw", SECRET, "order 4711"):
            assert secret not in kept
    printed = capsys.readouterr()
    for secret in ("s3cret-path", SECRET, "order 4711"):
        assert secret not in printed.out + printed.err


async def test_a_url_may_be_a_reference(
    world: World, hook: Hook, telling: Callable[..., Following], folder: Path
) -> None:
    (folder / "hook.url").write_text(hook.url)
    await world.ask(world.ana)
    assert await told_all(telling(url="file:hook.url"))
    assert len(hook.heard) == 1


# --- what is told ---------------------------------------------------------------------------------


async def test_only_events_and_targets_that_are_asked_for_are_told(
    world: World, hook: Hook, telling: Callable[..., Following]
) -> None:
    await world.ask(world.ana)
    await world.ask(world.ana, "dev-db", scope="public.orders:read")  # granted by the policy
    grant = await world.granted(world.ana, "prod-vault")
    await world.grants.revoke(world.ada, grant, "over")
    events = ["request.made", "request.decided", "grant.ended"]
    assert await told_all(telling(events=events, targets=["prod-v*"]))
    assert [(one["event"], one["target"]) for one in hook.bodies()] == [
        ("request.made", "prod-vault"),
        ("request.decided", "prod-vault"),
        ("grant.ended", "prod-vault"),
    ]


async def test_of_a_held_statement_nothing_is_told_but_that_there_is_one(
    world: World, hook: Hook, telling: Callable[..., Following]
) -> None:
    held = Held("s-1", 1, "shop", "delete from customers where ssn = '219-09-9999'", "no deletes")
    request = a_request(requester=world.ana.id, created=world.time,
                        expires=world.time + HOUR * SECOND, held=held,
                        reason="219-09-9999", state=RequestState.PENDING)  # fmt: skip
    event = world.means.event(world.time, world.ana.id, "request.made", request.id)
    await world.store.add_request(request, event)
    assert await told_all(telling())
    ((_, body),) = hook.heard
    assert b"219-09" not in body
    assert b"delete" not in body
    assert "one statement on prod-db" in json.loads(body)["text"]


async def test_slack_gets_a_sentence_and_the_command_and_no_markup_of_ours(
    world: World, hook: Hook, telling: Callable[..., Following]
) -> None:
    asked = await world.ask(world.ana, reason="<!channel> `x` & <http://evil|click>")
    assert await told_all(telling(format="slack"))
    (sent,) = hook.bodies()
    assert sent == {
        "text": "ana@test asks for prod-db: &lt;!channel&gt; 'x' &amp; &lt;http://evil|click&gt;"
        f"\n`hoop requests {asked['id']}`"
    }


# --- a program ------------------------------------------------------------------------------------


def program(folder: Path, text: str) -> str:
    path = folder / "tell"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


async def test_a_program_reads_json_and_inherits_no_secret(
    world: World, telling: Callable[..., Following], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOP_TEST_SECRET", "hunter2")
    path = program(folder, 'cat > told; echo "$1" > argument; env > environment')
    asked = await world.ask(world.ana)
    assert await told_all(telling(command=[path, "; rm -rf $HOME"]))
    assert json.loads((folder / "told").read_text())["request"] == asked["id"]
    assert (folder / "argument").read_text() == "; rm -rf $HOME\n"
    assert "hunter2" not in (folder / "environment").read_text()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def test_a_program_that_fails_hangs_or_is_not_there_is_tried_again(
    world: World, telling: Callable[..., Following], folder: Path
) -> None:
    await world.ask(world.ana)
    path = program(folder, "exit 3")
    assert not await telling(command=[path]).step()
    assert "exit status 3" in (await world.store.followers())[0].problem
    assert not await telling(command=[str(folder / "nothing")]).step()
    assert "does not start" in (await world.store.followers())[0].problem
    path = program(folder, "sleep 60 & echo $! > child; wait")
    assert not await telling(command=[path], limit="1s").step()
    assert "no answer within" in (await world.store.followers())[0].problem
    child = int((folder / "child").read_text())
    assert await until(lambda: not _runs(child), 20)
    program(folder, "cat > told")
    assert await told_all(telling(command=[path]))
    assert os.path.exists(folder / "told")


# --- the config -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "model"),
    [
        ({}, Notify),
        ({"url": "https://x", "command": ["x"]}, Notify),
        ({"url": "https://x", "events": ["nothing"]}, Notify),
        ({}, AuditSink),
        ({"file": "a", "syslog": "/dev/log"}, AuditSink),
        ({"syslog": "host:514"}, AuditSink),
    ],
)
def test_a_section_that_says_nothing_or_too_much_is_refused(
    section: dict[str, Any], model: type[Notify | AuditSink]
) -> None:
    with pytest.raises(ValidationError):
        model(name="x", **section)


async def test_a_denial_tells_whoever_wants_to_know(
    world: World, hook: Hook, telling: Callable[..., Following]
) -> None:
    asked = await world.ask(world.ana)
    await world.requests.vote(world.ben, asked["id"], Answer.DENY, "not now")
    assert await told_all(telling(events=["request.decided"]))
    assert hook.bodies()[0]["text"] == f"{asked['id']} of ana@test for prod-db is denied"
