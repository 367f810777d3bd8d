"""The older cases of the battery through the real agent's process, committed as they are.

Each has a session of its own, with no transaction around it: so what they leave behind is looked
for as well.  What they show without hoop, and in which forms, is in ``test_battery.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zstandard

from tests.bypass.battery_arena import MODES, tell
from tests.bypass.canaries import shown, written
from tests.bypass.escapes import CASES
from tests.bypass.raw import Gone, Raw
from tests.bypass.world import Doorway, Vault, as_they_were


@pytest.fixture(autouse=True, scope="module")
def tidied(vault: Vault) -> Iterator[None]:
    """What is allowed to change rows here does: the next file finds them as they were."""
    yield
    as_they_were(vault)


def talk(raw: Raw, texts: tuple[str, ...], mode: str) -> bytes:
    """Everything that the client was sent."""
    raw.query("set search_path = app, public")
    raw.query("begin; rollback")
    for text in texts:
        try:
            tell(raw, text, mode)
        except Gone:
            break
    raw.close()
    return bytes(raw.received)


@pytest.mark.parametrize("name", list(CASES))
def test_no_canary_reaches_the_client_of_a_real_agent(door: Doorway, name: str) -> None:
    """In one form each; the battery takes them through all three, in an agent of its own."""
    mode = MODES[list(CASES).index(name) % len(MODES)]
    with door.connect() as raw:
        received = talk(raw, CASES[name], mode)
    assert shown(received) == [], mode


def test_nothing_of_it_stands_in_a_recording(vault: Vault, door: Doorway) -> None:
    """All sessions so far, decompressed; there is one for each case at least."""
    unpacked = zstandard.ZstdDecompressor()
    texts = [
        unpacked.stream_reader(path.read_bytes(), read_across_frames=True).read()
        for path in vault.recordings()
    ]
    assert texts
    assert written(b"".join(texts)) == []


def test_no_canary_was_left_in_an_unmasked_place(vault: Vault, door: Doorway) -> None:
    """Behind all of the above: every place where somebody else could read it in clear."""
    assert vault.postgres is not None
    told = vault.postgres.psql(
        "select format('select %s::text from %I.%I x;', case relname when 'people' then 'name'"
        " else 'x' end, relnamespace::regnamespace, relname) from pg_class"
        " where relkind = 'r' and relnamespace > 16384 and relpersistence <> 't' and relname not in"
        " ('parts_1', 'parts_2', 'base', 'child', 'pets', 'toys', 'games') order by 1;",
        "vault",
    )
    assert "app.people" in told  # nothing was renamed, and nothing was dropped
    assert shown(vault.postgres.psql(told, "vault").encode()) == []
    kept = "select encode(data, 'hex') from pg_largeobject; select last_value from app.seq"
    assert shown(vault.postgres.psql(kept, "vault").encode()) == []
    assert vault.postgres.psql("select count(*) from app.people", "vault") == "3\n"
