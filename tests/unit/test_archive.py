"""Evidence: a signed archive, of which no byte can be changed, and a page that can do nothing."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopagent.archive import Gathered, Making, holds_in, made
from hoopagent.recording_keys import RecordingKeys
from hoopcli import archives
from hoopcore.model import Kind, Principal, Session
from hoopcore.recording import Event, Known, Notice, Said, verify
from hoopcore.recording.page import MOST_STATEMENTS, page
from tests.cli.recorded import BEGAN, KEY, PUBLIC, SESSION, file_of, lines, many, told

NASTY = "</pre><script>alert(1)</script>\x1b[2J\u202e"
ANA = Principal("p-ada0000000", Kind.HUMAN, "https://i", "ada", "ada@example.com")


def making(folder: Path, events: list[Event] | None = None) -> Making:
    path = folder / "r.zst"
    path.write_bytes(file_of(told() if events is None else events))
    head = lines(told() if events is None else events)[1].hash.decode()
    session = Session(SESSION, ANA.id, "prod-db", "shop", "local", "psql", (), BEGAN, head=head)
    return Making(session, ANA, BEGAN, "0.1.0", RecordingKeys(KEY, b"r" * 32), path)


def gathered(head: str, reason: str = "a test") -> Gathered:
    request = {
        "id": "req-1",
        "reason": reason,
        "votes": [{"answer": "approve", "voter": {"name": NASTY}, "reason": reason, "at": "now"}],
    }
    return Gathered({"id": SESSION, "head": head}, [{"id": "grt-1"}], [request], [])


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    one = making(tmp_path)
    with made(one, gathered(one.session.head)) as file:
        return file.read()


def changed(data: bytes, **files: bytes | None) -> bytes:
    """The same archive with other files; None leaves one out."""
    out = io.BytesIO()
    names = {name.replace("__", "."): content for name, content in files.items()}
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = names.pop(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
        for name, content in names.items():
            new.writestr(name, content or b"")
    return out.getvalue()


# --- the archive ----------------------------------------------------------------------------------


def test_an_archive_verifies_and_has_everything_in_it(archive: bytes) -> None:
    found = archives.checked(archive, PUBLIC)
    assert found.ok, found.why
    assert found.manifest is not None
    assert {one.name for one in found.manifest.files} == {
        "recording.jsonl.zst",
        "session.json",
        "grants.json",
        "requests.json",
        "policy.json",
        "audit.json",
        "verification.json",
        "report.html",
    }
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert json.loads(opened.read("verification.json"))["state"] == "complete"
        assert {info.external_attr >> 16 for info in opened.infolist()} == {0o600}


def test_whatever_is_changed_left_out_or_put_in_is_found(archive: bytes) -> None:
    assert archives.checked(changed(archive), PUBLIC).ok  # packing it anew changes nothing
    for files, why in (
        ({"requests__json": b"[]"}, "requests.json was changed"),
        ({"report__html": None}, "report.html is missing"),
        ({"more__txt": b"x"}, "more.txt is not in its manifest"),
        ({"manifest__json": b"{}"}, "its manifest cannot be read"),
        ({"manifest__sig": b"00" * 64}, "not signed by the key"),
        ({"manifest__sig": None}, "damaged"),
    ):
        found = archives.checked(changed(archive, **files), PUBLIC)
        assert why in found.why


def test_another_agents_key_signs_nothing_here(archive: bytes) -> None:
    other = Ed25519PrivateKey.from_private_bytes(b"x" * 32).public_key().public_bytes_raw()
    assert "names the key" in archives.checked(archive, other).why


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_byte_of_a_stored_file_can_be_flipped(
    tmp_path_factory: Any, data: st.DataObject
) -> None:
    archive = _kept(tmp_path_factory)
    at = data.draw(st.integers(0, len(archive) - 1))
    broken = bytearray(archive)
    broken[at] ^= data.draw(st.integers(1, 255))
    found = archives.checked(bytes(broken), PUBLIC)
    if found.ok:  # a byte of the zip itself, such as a time: every file is as it was
        assert _files(bytes(broken)) == _files(archive)


_KEPT: list[bytes] = []


def _kept(tmp_path_factory: Any) -> bytes:
    if not _KEPT:
        one = making(tmp_path_factory.mktemp("archive"))
        with made(one, gathered(one.session.head)) as file:
            _KEPT.append(file.read())
    return _KEPT[0]


def _files(data: bytes) -> Mapping[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_a_bomb_is_not_unpacked() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("manifest.json", b"0" * (50 << 20))
        bomb.writestr("manifest.sig", b"0" * (50 << 20))
    assert "damaged" in archives.checked(out.getvalue(), PUBLIC).why
    assert not archives.checked(b"PK\x03\x04 no zip", PUBLIC).ok


def test_the_holds_of_a_recording_are_found(tmp_path: Path) -> None:
    assert holds_in(making(tmp_path).path) == ["req-7h2vd9xk4p"]


# --- the page -------------------------------------------------------------------------------------


class _Tags(HTMLParser):
    """Every element and attribute that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}


def page_of(events: list[Event]) -> str:
    found, _ = lines(events)
    from hoopcore.recording import events as events_of

    known: list[Known] = list(events_of(found))
    report = verify(found, PUBLIC)
    request = gathered("", NASTY).requests
    return "".join(page(known, report=report, key="k", made="now", grants=[], requests=request))


@given(st.text(max_size=80))
def test_nothing_that_was_said_becomes_more_than_text(text: str) -> None:
    said = page_of(
        [
            Said(seq=1, text=text + NASTY, rule=text, reason=NASTY, verdict="refuse"),
            Notice(text=text),
        ]
    )
    tags = _Tags()
    tags.feed(said)
    expected = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table"}
    assert tags.tags <= expected | {"tr", "th", "td", "pre", "div", "span"}
    assert tags.names <= {"lang", "charset", "http-equiv", "content", "name", "class"}
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_the_page_loads_nothing_and_says_what_the_recording_is_worth() -> None:
    said = page_of(told())
    assert "default-src 'none'" in said
    assert not re.search(r"https?:|src=|href=|@import|url\(", said)
    assert "complete and unchanged" in said
    assert "refused by rule “no-unbounded-delete”" in said
    assert "⟦ssn:3fa9c2d17b40⟧" in said


def test_a_page_of_a_long_session_stays_one_that_opens() -> None:
    said = page_of(list(many(MOST_STATEMENTS + 500)))
    assert "the rest is in the recording" in said
    assert said.count("<pre>") == MOST_STATEMENTS
