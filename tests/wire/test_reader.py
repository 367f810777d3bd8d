"""The reader: short texts at once, long ones in a process that may die of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from hoopagent.reader import Reader
from hoopcore.sql.postgres import IN_PROCESS
from hoopcore.statement import Effect, Reading

SETTINGS = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}
LONG = b"select '" + b"x" * 3000 + b"' from t"
DEADLY = b"select 1" + b"+1" * 500_000


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    reader = Reader()
    await reader.start()
    yield reader
    await reader.close()


async def ask(reader: Reader, text: bytes, **settings: str) -> Reading:
    found = reader.read(text, settings=SETTINGS | settings, trusted=True, functions=frozenset())
    if isinstance(found, Reading):
        return found
    async with asyncio.timeout(30):
        return await found


def process_of(reader: Reader) -> int:
    assert reader._process is not None
    return reader._process.pid


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def test_short_text_is_read_at_once_and_the_same_reading_is_given_again() -> None:
    reader = Reader()  # not started: nothing but a long text needs the process
    texts = {"settings": SETTINGS, "trusted": True, "functions": frozenset[str]()}
    first = reader.read(b"select * from t", **texts)  # type: ignore[arg-type]
    assert isinstance(first, Reading)
    assert reader.read(b"select * from t", **texts) is first  # type: ignore[arg-type]


async def test_same_text_under_other_settings_is_read_anew() -> None:
    reader = Reader()
    text = rb"select f('\')"
    assert (await ask(reader, text)).effects == {Effect.READ, Effect.CALL}
    assert (await ask(reader, text, standard_conforming_strings="off")).effects == {Effect.UNKNOWN}
    assert (await ask(reader, text, client_encoding="SJIS")).effects == {Effect.UNKNOWN}
    untrusted = reader.read(text, settings=SETTINGS, trusted=False, functions=frozenset())
    assert isinstance(untrusted, Reading)
    assert untrusted.effects == {Effect.UNKNOWN}
    known = reader.read(text, settings=SETTINGS, trusted=True, functions=frozenset({"f"}))
    assert isinstance(known, Reading)
    assert known.effects == {Effect.READ}


async def test_settings_that_are_not_known_make_a_text_unreadable() -> None:
    found = Reader().read(b"select 1", settings={}, trusted=True, functions=frozenset())
    assert isinstance(found, Reading)
    assert found.effects == {Effect.UNKNOWN}


async def test_caches_are_bounded_in_entries_and_bytes() -> None:
    reader = Reader()
    kept = (reader._shapes, reader._firsts, reader._texts)
    for number in range(5000):
        await ask(reader, f"select {number} as a{number}, {'x' * (number % 7)!r}".encode())
        await ask(reader, f"select a{number}, '{'x' * (number % 900)}', {number}".encode())
        await ask(reader, f"select {number} -- {'x' * 900}".encode())
    for cache in kept:
        assert len(cache._found) <= 4096
        assert sum(size for _, size in cache._found.values()) == cache._bytes <= 2 << 20


async def test_text_of_a_known_shape_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    first = await ask(reader, b"select a from t where b = 'x' and c = 5")
    monkeypatch.setattr("hoopagent.reader.read", None)
    second = await ask(reader, b"select a from t where b = 'it''s longer' and c = 12")
    assert second.statements is first.statements
    assert [(x.start, x.stop) for x in second.literals] == [(26, 40), (49, 51)]
    assert (await ask(reader, b"select a from t where b = 'y' and c = 6")) == first


async def test_value_that_has_a_part_in_the_reading_is_read_each_time() -> None:
    reader = Reader()
    assert (await ask(reader, b"select set_config('a.b', 'x', true)")).statements[0].settings
    role = await ask(reader, b"select set_config('role', 'x', true)")
    assert Effect.ROLE in role.effects


async def test_long_text_is_read_as_a_short_one_would_be(reader: Reader) -> None:
    found = await ask(reader, LONG)
    (statement,) = found.statements
    assert statement.effects == {Effect.READ}
    assert {str(r) for r in statement.relations} == {"t"}
    assert [(x.start, x.stop, x.columns) for x in found.literals] == [(7, 3009, frozenset())]


async def test_long_insert_is_read(reader: Reader) -> None:
    rows = b",".join(b"(%d, 'name %d')" % (n, n) for n in range(20_000))
    found = await ask(reader, b"insert into t (id, name) values " + rows)
    assert found.effects == {Effect.INSERT}
    assert len(found.literals) == 40_000
    assert found.literals[1].columns == {"name"}


async def test_text_that_kills_the_process_is_unknown_and_the_next_one_is_read(
    reader: Reader,
) -> None:
    before = process_of(reader)
    with structlog.testing.capture_logs() as logs:
        found = await ask(reader, DEADLY)
    assert found.effects == {Effect.UNKNOWN}
    assert found.why == "the reader process died of it"
    assert (await ask(reader, LONG)).effects == {Effect.READ}
    assert process_of(reader) != before
    assert is_gone(before)
    assert [log["event"] for log in logs] == ["reader.replaced"]
    assert "+1" not in str(logs)


async def test_chain_of_64_kib_does_no_harm(reader: Reader) -> None:
    for chain in (b"select 'a'" + b"||'a'" * 13_000, b"select 1" + b"::t" * 20_000):
        assert (await ask(reader, chain)).effects == {Effect.UNKNOWN}
        assert (await ask(reader, LONG)).effects == {Effect.READ}


async def test_text_that_stalls_the_parser_is_unknown_after_two_seconds(reader: Reader) -> None:
    found = await ask(reader, b"/*" * 200_000)
    assert found.effects == {Effect.UNKNOWN}
    assert found.why in ("it took too long to read", "the reader process died of it")
    assert (await ask(reader, LONG)).effects == {Effect.READ}


async def test_text_over_four_mebibytes_is_unknown_at_once(reader: Reader) -> None:
    insert = b"insert into t values " + b",".join([b"(1, 'abcdefgh')"] * 1_000_000)
    found = reader.read(insert, settings=SETTINGS, trusted=True, functions=frozenset())
    assert isinstance(found, Reading)
    assert found.effects == {Effect.UNKNOWN}


async def test_texts_that_wait_behind_a_deadly_one_are_read(reader: Reader) -> None:
    found = await asyncio.gather(*(ask(reader, text) for text in (DEADLY, LONG, LONG)))
    assert [set(each.effects) for each in found] == [{"unknown"}, {"read"}, {"read"}]


async def test_process_that_dies_while_it_waits_is_replaced(reader: Reader) -> None:
    assert reader._process is not None
    reader._process.kill()
    await reader._process.wait()
    await ask(reader, LONG)  # this one may be lost
    assert (await ask(reader, LONG)).effects == {Effect.READ}


async def test_close_leaves_no_process_and_answers_who_still_waits() -> None:
    reader = Reader()
    await reader.start()
    pid = process_of(reader)
    waiting = [
        reader.read(text, settings=SETTINGS, trusted=True, functions=frozenset())
        for text in (b"/*" * 200_000, LONG)
    ]
    await asyncio.sleep(0)
    await reader.close()
    assert is_gone(pid)
    for future in waiting:
        assert isinstance(future, asyncio.Future)
        assert future.done()
        assert future.result().effects == {Effect.UNKNOWN}
    late = reader.read(LONG, settings=SETTINGS, trusted=True, functions=frozenset())
    assert isinstance(late, Reading)
    assert late.effects == {Effect.UNKNOWN}


async def test_cancelled_wish_does_not_stop_the_reader(reader: Reader) -> None:
    future = reader.read(LONG, settings=SETTINGS, trusted=True, functions=frozenset())
    assert isinstance(future, asyncio.Future)
    future.cancel()
    assert (await ask(reader, LONG)).effects == {Effect.READ}


async def test_process_leaves_no_core_and_has_bounds(reader: Reader) -> None:
    await ask(reader, LONG)
    limits = Path(f"/proc/{process_of(reader)}/limits").read_text()
    rows = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()[1:]}
    assert rows["Max core file size"] == ["0", "0"]
    assert rows["Max address space"][0] == str(1 << 30)
    assert rows["Max cpu time"][0] != "unlimited"
    environment = Path(f"/proc/{process_of(reader)}/environ").read_bytes()
    assert set(environment.split(b"\0")) - {b""} == {
        f"PATH={os.defpath}".encode(),
        b"LC_ALL=C.UTF-8",
        f"PYTHONPATH={Path(__file__).resolve().parents[2] / 'src'}".encode(),
    }


@pytest.mark.parametrize(
    ("opening", "middle", "closing"),
    [
        ("", "1", "+1"),
        ("", "'a'", "||'a'"),
        ("", "1", "::t"),
        ("(", "1", ")"),
        ("not ", "true", ""),
        ("- ", "a", ""),
        ("", "a", " and a"),
        ("", "a", " or(a)"),
        ("", "a", "[1]"),
        ("", "(a)", ".b"),
        ("(select ", "1", ")"),
        ("", "1", " union select 1"),
        ("array[", "1", "]"),
        ("f(", "1", ")"),
        ("", "a", " isnull"),
        ("", "a", " collate b"),
        ("case when ", "a", " then 1 end"),
        ("row(", "1", ")"),
        ("", "1 from a", ",a"),
        ("", "1 from a", " cross join a"),
        ("1 from (select ", "1", ")"),
        ("/*", " */ 1", "*/"),
        ("", "1", ";end"),
    ],
)
def test_no_shape_of_nesting_within_the_limit_kills_a_process_with_a_small_stack(
    opening: str, middle: str, closing: str
) -> None:
    size = max(len(opening) + len(closing), 1)
    times = (IN_PROCESS - len("select ") - len(middle)) // size
    text = f"select {opening * times}{middle}{closing * times}"
    assert IN_PROCESS - 40 < len(text) <= IN_PROCESS
    assert _read_on_a_small_stack(text) >= 1


@pytest.mark.parametrize(
    ("opening", "middle", "closing"),
    [
        ("begin ", "", "end; "),
        ("if a then ", "", "end if; "),
        ("loop ", "", "end loop; "),
        ("begin exception when a then ", "", "end; "),
        ("case a when b then ", "", "end case; "),
        ("declare a int; begin ", "", "end; "),
        ("", "", "perform 1;"),
        ("a := ", "1", ";"),
        ("perform (", "1", ");"),
        ("perform not ", "a", ";"),
        ("do $a$ begin ", "", " end $a$;"),
        ("<<a>> begin ", "", "end a; "),
    ],
)
def test_no_nesting_of_a_body_within_the_limit_kills_a_process_with_a_small_stack(
    opening: str, middle: str, closing: str
) -> None:
    size = len(opening) + len(closing)
    times = (IN_PROCESS - len("do $$begin  end$$") - len(middle)) // size
    text = f"do $$begin {opening * times}{middle}{closing * times} end$$"
    assert IN_PROCESS - 40 < len(text) <= IN_PROCESS
    assert _read_on_a_small_stack(text) == 1


def _read_on_a_small_stack(text: str) -> int:
    """The number of statements that a process found which had 512 KiB of stack."""
    code = (
        "import resource, sys; from hoopcore.sql.postgres import read;"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0));"
        "print(len(read(sys.stdin.buffer.read()).statements))"
    )
    done = subprocess.run(
        ["prlimit", f"--stack={512 << 10}", sys.executable, "-c", code],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    return int(done.stdout)
