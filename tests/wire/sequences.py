"""Random sequences of a client's messages: coherent conversations, then broken in random places.

``generate`` gives messages with a mark on those that are to be refused.  ``direct`` is what a
server must be told so that it answers as the gate does: a refused message is replaced by what
the gate puts in its place.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from hoopcore.protocols.postgres import refuse, wire
from hoopcore.stream import Refusal

SESSION = "s-0123456789"
REFUSAL = Refusal("no-such-luck", "the test says so", "try another")
SECRET = b"S3CR3T"

SCHEMA = f"""
create table t (id int primary key, name text);
insert into t select n, 'name ' || n from generate_series(1, 20) n;
create table secrets (id int primary key, secret text, card int8);
insert into secrets select n, '{SECRET.decode()}' || n, 4111111111111111
  from generate_series(1, 9) n;
create table c (id int, name text);
create table u (id int unique deferrable initially deferred);
insert into u values (1);
create table g (id int);
create function no() returns trigger language plpgsql as 'begin raise exception ''no''; end';
create trigger no before insert on g for each statement execute function no();
"""

# Waits until nobody else is at work in this database, and makes it as it was.
QUIET = b"""select pg_terminate_backend(pid, 10000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()"""
RESET = f"""truncate t, secrets, c, u, g;
insert into t select n, 'name ' || n from generate_series(1, 20) n;
insert into secrets select n, '{SECRET.decode()}' || n, 4111111111111111
  from generate_series(1, 9) n;
insert into u values (1)""".encode()

READS = [
    b"select 1",
    b"select id, name from t order by id",
    b"select id, name from t order by id limit 3",
    b"select id, secret from secrets order by id",
    b"select upper(secret), card from secrets order by id",
    b"select 1/0",
    b"select 1/(n-3) from generate_series(1, 6) n",
    b"select cast(secret as int) from secrets",
    b"select 1 where false",
    b"values (1, 'a'), (2, 'b')",
    b"select repeat('x', 300), n from generate_series(1, 120) n",
    b"show search_path",
    b"explain (costs off) select 1",
]
WRITES = [
    b"insert into t values (100, 'new') on conflict do nothing",
    b"insert into t values (1, 'twice')",
    b"insert into t values (101, 'x') on conflict do nothing returning id, name",
    b"insert into u values (1)",
    b"update t set name = 'it' where id = 2",
    b"delete from t where id = 100",
    b"update secrets set secret = secret where id = 1 returning secret",
    b"insert into secrets values (1, 'S3CR3T1')",
]
STATES = [
    b"begin",
    b"begin",
    b"commit",
    b"rollback",
    b"savepoint a",
    b"rollback to a",
    b"set application_name = 'S3CR3T'",
    b"set standard_conforming_strings = off",
    b"set standard_conforming_strings = on",
    b"prepare s1 as select id, upper(secret) from secrets order by id",
    b"execute s1",
    b"deallocate s1",
    b"deallocate all",
    b"declare c1 cursor for select id, secret, upper(secret) from secrets order by id",
    b"declare p1 cursor for select id, secret, upper(secret) from secrets order by id",
    b"fetch 2 from c1",
    b"close c1",
    b"close p1",
    b"do $$ begin raise notice 'hello'; end $$",
    b"do $$ begin raise notice '%', (select min(secret) from secrets); end $$",
    b"listen ch",
    b"notify ch, 'S3CR3T'",
    b"lock table t",
    b"selekt 1",
    b"select 'it''s' from nowhere",
    b"",
    b"-- nothing",
]
COPIES_IN = [b"copy c from stdin", b"copy c from stdin", b"copy c from stdin (format csv)",
             b"copy nowhere from stdin", b"copy g from stdin"]  # fmt: skip
COPIES_OUT = [b"copy (select * from t order by id) to stdout",
              b"copy (select n from generate_series(1, 50) n) to stdout",
              b"copy (select 1/(3-n) from generate_series(1, 5) n) to stdout"]  # fmt: skip
SEVERAL = [
    b"select 1; select 2",
    b"select 1; select 1/0; select 3",
    b"begin; select 1",
    b"select id, secret from secrets limit 1; commit",
    b"copy c from stdin; copy c from stdin",
    b"copy c from stdin; select 1",
    b"select 1; copy c from stdin; insert into t values (1, '')",
    b"copy (select * from t order by id) to stdout; select 2",
    b";;",
]


@dataclass(slots=True)
class Step:
    """One message, and whether it is to be refused (only what is judged can be)."""

    data: bytes
    refused: bool = False

    @property
    def kind(self) -> int:
        return self.data[0]

    def direct(self) -> bytes:
        """What stands for it at a server without a gate."""
        if not self.refused:
            return self.data
        text = refuse.substitute(REFUSAL, SESSION)
        if self.kind in (wire.QUERY, wire.FUNCTION_CALL):
            return wire.query(text)
        if self.kind == wire.PARSE:
            return wire.parse(wire.Body(self.data, 5).cstring(), text)
        return wire.parse(refuse.RESERVED, text)


JUDGED = frozenset((wire.QUERY, wire.PARSE, wire.BIND, wire.FUNCTION_CALL))


def bind(
    portal: bytes, statement: bytes, parameters: tuple[bytes, ...] = (), fmt: int = 0
) -> bytes:
    body = wire.cstring(portal) + wire.cstring(statement) + wire.UINT16.pack(0)
    body += wire.UINT16.pack(len(parameters))
    for value in parameters:
        body += wire.INT32.pack(len(value)) + value
    return wire.frame(wire.BIND, body + wire.UINT16.pack(1) + wire.UINT16.pack(fmt))


def execute(portal: bytes, limit: int = 0) -> bytes:
    return wire.frame(wire.EXECUTE, wire.cstring(portal) + wire.INT32.pack(limit))


def describe(what: bytes, name: bytes) -> bytes:
    return wire.frame(wire.DESCRIBE, what + wire.cstring(name))


def close(what: bytes, name: bytes) -> bytes:
    return wire.frame(wire.CLOSE, what + wire.cstring(name))


def copy_data(data: bytes) -> bytes:
    return wire.frame(wire.COPY_DATA, data)


SYNC = wire.frame(wire.SYNC)
FLUSH = wire.frame(wire.FLUSH)
COPY_DONE = wire.frame(wire.COPY_DONE)
COPY_FAIL = wire.frame(wire.COPY_FAIL, b"enough\0")
INT4ABS = wire.frame(
    wire.FUNCTION_CALL,
    wire.UINT32.pack(1397) + b"\0\1\0\0" + b"\0\1" + wire.INT32.pack(2) + b"-7" + b"\0\0",
)


class Maker:
    """Makes sequences from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def sequence(self) -> list[Step]:
        steps: list[Step] = []
        for _ in range(self.random.randint(1, 5)):
            steps += [Step(data) for data in self._conversation()]
        self._break(steps)
        for step in steps:
            step.refused = step.kind in JUDGED and self.random.random() < 0.08
        return steps

    def _conversation(self) -> list[bytes]:
        kinds: list[Callable[[], list[bytes]]] = [
            self._simple, self._simple, self._extended, self._extended, self._extended,
            self._pipeline, self._copy_in, self._copy_in_extended, self._again, self._loose,
        ]  # fmt: skip
        return self.random.choice(kinds)()

    def _text(self) -> bytes:
        pool = self.random.choice([READS, READS, WRITES, STATES, STATES, COPIES_OUT])
        return self.random.choice(pool)

    def _simple(self) -> list[bytes]:
        return [wire.query(self.random.choice([self._text(), self.random.choice(SEVERAL)]))]

    def _names(self) -> tuple[bytes, bytes]:
        return (
            self.random.choice([b"", b"", b"p1", b"p2", b"c1"]),
            self.random.choice([b"", b"", b"s1", b"s2"]),
        )

    def _run(self, text: bytes) -> list[bytes]:
        portal, statement = self._names()
        random = self.random
        run = [wire.parse(statement, text)]
        if random.random() < 0.2:
            run.append(describe(b"S", statement))
        if random.random() < 0.1:
            run.append(SYNC)
        run.append(bind(portal, statement, fmt=random.choice([0, 0, 1])))
        if random.random() < 0.5:
            run.append(describe(b"P", portal))
        run.append(execute(portal, random.choice([0, 0, 1, 2])))
        while random.random() < 0.3:
            run.append(random.choice([execute(portal, 2), SYNC, FLUSH, close(b"P", portal)]))
        if statement and random.random() < 0.5:
            run.append(close(b"S", statement))
        return run

    def _extended(self) -> list[bytes]:
        return [*self._run(self._text()), SYNC]

    def _pipeline(self) -> list[bytes]:
        steps = [] if self.random.random() < 0.5 else self._run(b"begin")
        for _ in range(self.random.randint(1, 3)):
            steps += self._run(self._text())
        return [*steps, SYNC]

    def _again(self) -> list[bytes]:
        """Runs something that was prepared, or not, before."""
        portal, statement = self._names()
        steps = [bind(portal, statement)] if self.random.random() < 0.8 else []
        steps += [describe(b"P", portal)] if self.random.random() < 0.3 else []
        return [*steps, execute(portal, self.random.choice([0, 1])), SYNC]

    def _lines(self) -> list[bytes]:
        lines = [b"1\tone\n", b"2\ttwo\n", b"3,three\n", b"bad\n", b"4\tfo", b"ur\n", b"\\.\n"]
        weights = [8, 8, 1, 1, 2, 2, 1]
        count = self.random.randint(0, 4)
        return [copy_data(line) for line in self.random.choices(lines, weights, k=count)]

    def _copy_in(self) -> list[bytes]:
        several = [text for text in SEVERAL if b"from stdin" in text]
        text = self.random.choice([*COPIES_IN, *several])
        steps = [wire.query(text)]
        for _ in range(max(1, text.count(b"from stdin"))):
            steps += [*self._lines(), self.random.choice([COPY_DONE, COPY_DONE, COPY_FAIL])]
        return steps

    def _copy_in_extended(self) -> list[bytes]:
        steps = self._run(self.random.choice(COPIES_IN))
        if self.random.random() < 0.6:
            steps.append(SYNC)  # libpq's way
        steps += [*self._lines(), self.random.choice([COPY_DONE, COPY_DONE, COPY_FAIL])]
        return [*steps, SYNC]

    def _loose(self) -> list[bytes]:
        portal, statement = self._names()
        random = self.random
        return [
            random.choice(
                [
                    SYNC, FLUSH, copy_data(b"9\tlate\n"), COPY_DONE, COPY_FAIL, INT4ABS,
                    wire.parse(statement, self._text()), bind(portal, statement),
                    bind(portal, statement, (b"7",)), execute(portal, 1),
                    wire.parse(statement, b"select $1::int"), wire.parse(statement, b""),
                    describe(b"S", statement), describe(b"P", portal),
                    close(b"S", statement), close(b"P", portal),
                    wire.parse(b"hoop_refused", b"select 1"),
                ]
            )
            for _ in range(random.randint(1, 3))
        ]  # fmt: skip

    def _break(self, steps: list[Step]) -> None:
        """Breaks the conversation in a few places."""
        while steps and self.random.random() < 0.35:
            place = self.random.randrange(len(steps))
            how = self.random.randrange(4)
            if how == 0:
                del steps[place]
            elif how == 1:
                steps.insert(place, Step(steps[place].data))
            elif how == 2:
                steps[place:place] = [Step(data) for data in self._loose()]
            else:
                other = self.random.randrange(len(steps))
                steps[place], steps[other] = steps[other], steps[place]
