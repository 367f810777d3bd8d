"""Values that nobody may see, where they are kept, and in which forms they would be recognised."""

from __future__ import annotations

import base64
import codecs
import datetime
import hashlib
import struct
from collections.abc import Iterable, Iterator

import re2

TEXT = "QzXjVwKpTnLr7301"
TAIL = "BrHsGdFmWkZc4829"  # its last four may be seen
ITEM = "NvYtCqJxLhPw6153"
DOC = "RkMbZsTgXdVf9264"
MAIL = "WpGtDxKvRcNj5817"  # behind it stands a domain, which may be seen
PHONE = "ZdPmHqFxTwVb9436"
NOTE = "JvXkSgBnQrLz2589"
EVERY = "KtFwNzPdRqGx8143"  # in the table of all types
NUMBER = 773019824556
MONEY = "918273645.5463"
DAY = "1987-11-23"
TEXTS = (TEXT, TAIL, ITEM, DOC, MAIL, PHONE, NOTE, EVERY)

SCHEMA = f"""
create schema app; grant usage on schema app to public; set search_path = app, public;
create extension citext with schema public; create extension hstore with schema public;
create extension pg_trgm with schema public; create extension dblink with schema public;
create type pair as (a text, b text);
create table people (
  id int primary key, name text, secret text, tail text, pin int8, amount numeric, raw bytea,
  items text[], doc jsonb, mail public.citext, both_ pair,
  shout text generated always as (upper(secret)) stored,
  constraint once unique (secret) deferrable initially deferred);
insert into people select n, 'name ' || n, '{TEXT}' || n, '{TAIL}', {NUMBER}, {NUMBER}, '{TEXT}',
  array['{ITEM}'], '{{"k": "{DOC}"}}', '{TEXT}', row('{TEXT}'::text, '{TAIL}'::text)::pair
  from generate_series(1, 3) n;
create index on people (lower(secret));
create table pub (id int primary key, note text, n int8, items text[], doc jsonb, part pair);
insert into pub select n, 'note ' || n, n, array['a', 'b'], '{{"k": 1}}' from generate_series(1, 5) n;
create table parts (id int, secret text) partition by list (id);
create table parts_1 partition of parts for values in (1);
create table parts_2 partition of parts default;
insert into parts values (1, '{TEXT}'), (2, '{TEXT}');
create table base (id int, secret text); create table child (more text) inherits (base);
insert into child values (1, '{TEXT}', 'open');
create view v as select * from people; create view vv as select secret as note, id from v;
create materialized view mv as select secret as note from people;
create view open_view as select id, note from pub;
create sequence seq;
create domain short as text check (length(value) < 3);
create table owners (id int primary key, name text);
create table pets (id int primary key, owner int references owners on delete cascade on update cascade
  check (owner < 100), secret text unique);
create table toys (pet text references pets (secret));
insert into owners values (1, 'o'), (2, 'p'); insert into pets values (1, 1, '{TEXT}'), (2, 2, '{TAIL}');
insert into toys values ('{TEXT}');
create table games (pet text references pets (secret) deferrable initially deferred);
insert into games values ('{TAIL}');
create function secret() returns text language sql stable as 'select secret from app.people where id = 1';
create function secrets() returns setof text language sql stable as 'select secret from app.people';
create function frozen() returns text language sql immutable as 'select secret from app.people where id = 1';
create function leak(pub) returns text language sql stable as 'select secret from app.people where id = $1.id';
create function age(pub) returns text language sql stable as 'select secret from app.people where id = $1.id';
create function keep(text) returns void language sql as 'insert into app.pub (id, note) values (7000, $1)';
create function raises() returns text language plpgsql as
  'begin raise notice ''%'', app.secret(); raise exception ''%'', app.secret() using hint = app.secret(); end';
create procedure says() language plpgsql as 'begin raise warning ''%'', app.secret(); end';
create function joined(text, text) returns text language sql immutable as 'select $1 || $2';
create aggregate glue (text) (sfunc = joined, stype = text, initcond = '');
create operator ### (leftarg = text, rightarg = text, function = joined);
create function hidden(anyelement) returns text language sql stable as 'select secret from app.people where id = 1';
create table written (a int);
create function writes() returns int volatile language sql as 'insert into app.written values (1) returning a';
create function wraps() returns int stable language plpgsql as 'begin return app.writes(); end';
create function speak(text) returns text language sql as 'select set_config(''client_encoding'', $1, false)';
create operator !!! (rightarg = anyelement, function = hidden);
create view calling as select id, app.wraps() as w from app.pub;
create view pubs as select id, n from app.open_view join app.pub using (id);
create view inbox as select id from app.owners;
create rule inbox_adds as on insert to inbox do instead delete from app.pub;
create table stamped (id int, by int default app.wraps());
create domain odd as text check (app.joined(value, '') <> 'x'); create table oddly (o odd);
analyze;
"""  # noqa: E501

# toys and games refer to a masked column, so that their column is masked as well.
MASKS = "\n" + "\n".join(
    f'[[mask]]\ncolumn = "{column}"\nstyle = "{style}"'
    for column, style in [
        *((f"app.people.{name}", "full") for name in ("secret", "pin", "amount", "raw", "items")),
        *((f"app.people.{name}", "full") for name in ("doc", "mail", "both_")),
        ("app.people.tail", "keep-last-4"),
        *((f"app.{table}.secret", "full") for table in ("parts_1", "base", "pets")),
        *((f"app.{table}.pet", "null") for table in ("toys", "games")),
    ]
)


def _pieces(text: str, size: int) -> Iterator[bytes]:
    data = text.lower().encode()
    yield from (data[at : at + size] for at in range(len(data) - size + 1))


def _dresses(text: str) -> Iterator[bytes]:
    """Six characters in a row of the text, or the same in another dress that can be taken off."""
    for form in (text, text[::-1], codecs.encode(text, "rot13")):
        data = form.encode()
        yield from _pieces(form, 6)
        yield from _pieces(data.hex(), 12)
        for at in range(len(data) - 5):
            piece = data[at : at + 6]
            yield " ".join(str(byte) for byte in piece).encode()  # a tree of PostgreSQL's
            yield ",".join(str(byte) for byte in piece).encode()  # an array of codes
            yield "".join(f"{byte:08b}" for byte in piece).encode()  # bit strings
            yield "".join(f"{byte:03o}" for byte in piece).encode()
        for shift in range(3):
            coded = base64.b64encode(b"\0" * shift + data).decode()
            yield from _pieces(coded[4 + shift : -4], 8)


def _hashes(text: str) -> Iterator[bytes]:
    """What anybody could compute from a guess."""
    for form in {text, text.lower(), text.upper()}:
        for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512"):
            digest = hashlib.new(name, form.encode(), usedforsecurity=False).digest()
            yield digest.hex()[:16].encode()
            yield digest[:8].lower()
            yield base64.b64encode(digest)[:12].lower()


def _numbers(number: int) -> Iterator[bytes]:
    text = str(number)
    for form in (text, text[::-1]):
        yield from _pieces(form, 6)
    yield f"{number:,}".encode()
    # Their last digits differ from row to row.
    yield from (
        f"{number:x}"[:8].encode(),
        f"{number:o}"[:10].encode(),
        f"{number:b}"[:24].encode(),
    )
    yield struct.pack(">q", number)[1:7].lower()
    yield struct.pack(">d", number)[:5].lower()
    groups = text.rjust(-(-len(text) // 4) * 4, "0")
    wire = b"".join(struct.pack(">h", int(groups[at : at + 4])) for at in range(0, len(groups), 4))
    yield wire[:6].lower()  # numeric on the wire: groups of four digits


def _days(day: str) -> Iterator[bytes]:
    date = datetime.date.fromisoformat(day)
    for form in ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%b %d %Y", "%d %b %Y", "%Y%m%d"):
        yield date.strftime(form).lower().encode()
    yield date.isoformat().encode()
    yield str(int((date - datetime.date(1970, 1, 1)).total_seconds())).encode()
    yield struct.pack(">q", (date - datetime.date(2000, 1, 1)).days * 86_400_000_000)[:5].lower()


def _needles() -> frozenset[bytes]:
    """All in lower case."""
    found: set[bytes] = set()
    for text in TEXTS:
        found.update(_dresses(text))
    for text in (*TEXTS, *STORED):
        found.update(_hashes(text))
    found.update(_numbers(NUMBER))
    found.update(_numbers(int(MONEY.replace(".", ""))))
    found.add(MONEY[:9].encode())
    found.update(_days(DAY))
    found.update(text.encode() for text in OTHERS)
    found.update(data.lower() for data in SENT)
    return frozenset(found)


# Values of other types, in the table of all types, as they are printed and as they are sent.
OTHERS = (
    *("1830274659", "7,391,846.25", "7391846.25", "739184625", "583.9174", "7264.918350273"),
    *("17:43:29.518372", "37 years 5 mons", "173.94.218", "7c:3f:9e:1d:52:b8", "7c3f9e1d52b8"),
    *("7c3f9e1d-52b8-4a06", "110100111000101101001110", "18302746", "7c3f9e1d/52b84a06"),
    *("1830274:1830276", "27193 18364"),
)
SENT = (
    struct.pack(">i", 1830274659),
    struct.pack(">q", 739184625)[3:],
    struct.pack(">f", 583.9174),
    struct.pack(">d", 583.9174)[:5],
    struct.pack(">d", 7264.918350273)[:6],
    bytes.fromhex("7c3f9e1d52b8"),
    bytes.fromhex("ad5eda39"),
)
# As they stand in rows.
STORED = (
    *(f"{TEXT}{n}" for n in range(1, 4)),
    *(f"{n}{TAIL}" for n in range(1, 13)),
    *(f"{MAIL}{n}@example.com" for n in range(1, 13)),
    *(f"{PHONE}{n}" for n in range(1, 13)),
    *(f"{NOTE}{n}" for n in range(4)),
)
_options = re2.Options()
_options.encoding = re2.Options.Encoding.LATIN1
_options.max_mem = 256 << 20


class Needles:
    """Many short texts, looked for at once."""

    def __init__(self, all_: Iterable[bytes]) -> None:
        self._all = sorted(all_)
        self._any = re2.compile(b"|".join(map(re2.escape, self._all)), _options)

    def __len__(self) -> int:
        return len(self._all)

    def found(self, data: bytes) -> list[bytes]:
        """Which of them stand in these bytes, upper or lower case."""
        low = bytes(data).lower()
        if self._any.search(low) is None:
            return []
        return [needle for needle in self._all if needle in low]


def _tells(needle: bytes) -> bool:
    return len(needle) >= 8 or not (needle.isdigit() or not needle.isascii())


NEEDLES = Needles(_needles())
_LONG = Needles(needle for needle in _needles() if _tells(needle))


def shown(data: bytes) -> list[bytes]:
    """What of the canaries stands in these bytes."""
    return NEEDLES.found(data)


def written(data: bytes) -> list[bytes]:
    """The same, in what is full of hashes and times: few bytes in a row mean nothing there."""
    return _LONG.found(data)
