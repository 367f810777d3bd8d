"""Values that nobody may see, where they are kept, and in which forms they would be recognised."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator

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


def _needles() -> frozenset[bytes]:
    """Lower-case forms: six characters in a row of any canary, or the same in another dress."""
    found: set[bytes] = set()
    for text in TEXTS:
        for form in (text, text[::-1]):
            found.update(_pieces(form, 6))
            found.update(_pieces(form.encode().hex(), 12))
            # as a tree of PostgreSQL's is printed
            found.update(
                " ".join(str(byte) for byte in form.encode()[at : at + 6]).encode()
                for at in range(len(form) - 5)
            )
            for shift in range(3):
                coded = base64.b64encode(b"\0" * shift + form.encode()).decode()
                found.update(_pieces(coded[4 + shift : -4], 8))
    number = str(NUMBER)
    for form in (number, number[::-1]):
        found.update({*_pieces(form, 6), *_pieces(form, 8)})
    found.update({struct.pack(">q", NUMBER)[1:].lower(), f"{NUMBER:x}".encode()})
    # numeric on the wire: groups of four digits
    found.add(struct.pack(">hhh", 7730, 1982, 4556).lower())
    return frozenset(found)


NEEDLES = _needles()


def shown(data: bytes) -> list[bytes]:
    """What of the canaries stands in these bytes."""
    low = bytes(data).lower()
    return [needle for needle in NEEDLES if needle in low]


def written(data: bytes) -> list[bytes]:
    """The same, in what is full of hashes and times: six digits in a row mean nothing there."""
    return [needle for needle in shown(data) if not (needle.isdigit() and len(needle) < 8)]
