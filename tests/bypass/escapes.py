"""Ways a value escapes a mask: statements that show a canary to who runs them without hoop.

Each case is a name and statements, run in order on one connection.  What the client itself types
is no canary: only what the server puts into an answer counts.
"""

from __future__ import annotations

_NAMES = "id, name, secret, tail, pin, amount, raw, items, doc, mail, both_, shout"

# ruff: noqa: E501 - statements are read best as they are

CASES: dict[str, tuple[str, ...]] = {
    # columns and expressions
    "column": ("select secret, tail, pin, amount, raw, items, doc, mail, both_ from people",),
    "alias": ("select secret as id, tail name from people",),
    "star": ("select * from people",),
    "col, *": ("select name, *, id from people",),
    "table": ("table people",),
    "other name": (f"select * from people as p ({_NAMES.replace('secret', 'name2')})",),
    "upper": ("select upper(secret), lower(tail), initcap(secret) from people",),
    "substr": ("select substr(secret, 1, 9), left(secret, 8), right(tail, 9) from people",),
    "concat": ("select secret || '', concat(secret, 'x'), format('%s', secret) from people",),
    "cast": ("select secret::varchar, secret::bytea, pin::text, cast(amount as int8) from people",),
    "reverse": ("select reverse(secret) from people",),
    "encode": ("select encode(secret::bytea, 'hex'), encode(raw, 'base64') from people",),
    "replace": ("select replace(secret, '7', '7'), translate(tail, 'x', 'y') from people",),
    "regexp": ("select regexp_matches(secret, '.*'), regexp_replace(tail, 'x', 'y') from people",),
    "split": ("select split_part(secret, ',', 1), string_to_array(tail, ',') from people",),
    "arithmetic": ("select pin + 0, amount * 1, -pin from people",),
    "case": ("select case when true then secret end, coalesce(secret, '') from people",),
    "nullif": ("select nullif(secret, ''), greatest(secret, ''), least(secret, 'zz') from people",),
    "element": ("select items[1], items[1:1], doc -> 'k', doc ->> 'k', (both_).a from people",),
    "operator": ("select secret ### '' from people", "select !!! 1"),
    "generated": ("select shout from people",),
    "citext": ("select mail, mail::text from people",),
    # where values come from
    "cte": ("with x as (select secret as note from people) select note from x",),
    "cte materialized": ("with x as materialized (select * from people) select secret from x",),
    "recursive": (
        "with recursive r(note) as (select note from pub union all select secret from people)"
        " select note from r",
    ),
    "subquery": ("select note from (select secret as note from people offset 0) x",),
    "scalar": ("select (select secret from people limit 1) from pub",),
    "array of rows": ("select array(select secret from people)",),
    "union": ("select note from pub union all select secret from people",),
    "union first": ("select secret from people union all select note from pub",),
    "except": ("select secret from people except select note from pub",),
    "intersect": ("select secret from people intersect select secret from people",),
    "lateral": ("select x from pub, lateral (select secret as x from people) y",),
    "unnest": ("select u from people, unnest(array[secret]) u",),
    "unnest items": ("select unnest(items) from people",),
    "generator": ("select g from people, regexp_split_to_table(secret, ',') g",),
    "values": ("values ((select secret from people limit 1))",),
    "join": ("select coalesce(note, secret) from pub full join people on pub.id = -people.id",),
    "join using": ("select secret from people join people q using (secret)",),
    "view": ("select secret, tail from v",),
    "view of view": ("select note from vv",),
    "materialized view": ("select note from mv",),
    "partitions": ("select secret from parts", "select * from parts_1", "select * from parts_2"),
    "only": ("select secret from only base", "select secret from base", "table child"),
    "tablesample": ("select secret from people tablesample bernoulli (100)",),
    "locking": ("select secret from people for update",),
    "xmltable": (
        "select x.* from people, xmltable('/r' passing xmlelement(name r, secret)"
        " columns note text path '.') x",
    ),
    "xml": ("select xmlelement(name a, secret), xmlforest(tail) from people",),
    "json_table": (
        "select j.* from people, json_table(doc, '$' columns (note text path '$.k')) j",
    ),
    "table_to_xml": (
        "select table_to_xml('app.people', true, false, '')",
        "select query_to_xml('select secret from app.people', true, false, '')",
        "select database_to_xml(true, false, '')",
    ),
    "ts_stat": ("select * from ts_stat('select to_tsvector(secret) from app.people')",),
    "dblink": (
        "select * from dblink(format('host=%s port=%s dbname=%s user=postgres',"
        " current_setting('unix_socket_directories'), current_setting('port'), current_database()),"
        " 'select secret from app.people') as t(x text)",
    ),
    # whole rows and documents
    "whole row": ("select p from people p", "select p::text from people p"),
    "row": ("select row(secret, tail), (p).secret, (p).* from people p",),
    "row_to_json": ("select row_to_json(p), to_json(p), to_jsonb(p) from people p",),
    "jsonb": ("select jsonb_build_object('k', secret), doc || '{}', jsonb_pretty(doc) from people",),
    "jsonb_each": ("select (jsonb_each_text(to_jsonb(p))).value from people p",),
    "hstore": ("select hstore(p), (each(hstore(p))).value from people p",),
    "show_trgm": ("select show_trgm(secret) from people",),
    # many rows at once
    "string_agg": ("select string_agg(secret, ','), array_agg(tail) from people",),
    "min": ("select min(secret), max(pin), sum(pin), mode() within group (order by tail) from people",),
    "json_agg": ("select json_agg(p), jsonb_object_agg(id, secret) from people p",),
    "own aggregate": ("select glue(secret) from people",),
    "window": ("select first_value(secret) over (), lag(tail) over (order by id) from people",),
    "grouping": ("select secret, count(*) from people group by rollup (secret)",),
    "distinct": ("select distinct secret from people order by secret",),
    "having": ("select 1 from people group by secret having secret::int > 0",),
    # returning
    "returning": ("update people set id = id where id = 1 returning secret, people",),
    "insert returning": (
        "insert into pub (id) values (100) on conflict (id) do nothing"
        " returning (select secret from people limit 1)",
    ),
    "delete returning": ("begin", "delete from people where id = 3 returning *", "rollback"),
    "returning old": ("update people set id = id where id = 1 returning old.secret, new.tail",),
    "merge returning": (
        "merge into people p using pub q on p.id = q.id when matched then update set name = 'x'"
        " returning p.secret",
    ),
    # into an unmasked place
    "update": ("update pub set note = secret from people where pub.id = people.id", "table pub"),
    "update sub": ("update pub set note = (select secret from people limit 1) where id = 1", "table pub"),
    "update own row": ("update people set name = secret where id = 1", "select name from people"),
    "update pair": ("update people set (name, secret) = (secret, name) where id = 2",
                    "select name from people"),
    "update array": ("update pub set items[1] = secret from people where pub.id = 1", "table pub"),
    "update field": ("update pub set part.a = secret from people where pub.id = 1", "table pub"),
    "update by call": ("update pub set note = app.secret() where id = 2", "table pub"),
    "update field call": ("update pub set note = pub.leak where id = 3", "table pub"),
    "update age": ("update pub set note = age(pub) where id = 3", "table pub"),
    "insert select": ("insert into pub (id, note) select 200 + id, secret from people", "table pub"),
    "insert values": (
        "insert into pub (id, note) values (300, (select secret from people limit 1))", "table pub",
    ),
    "insert call": ("insert into pub (id, note) values (301, app.secret())", "table pub"),
    "insert function": ("insert into pub (id, note) select 302, s from app.secrets() s limit 1", "table pub"),
    "insert default": (
        "create table kept (id int, note text default app.secret())",
        "insert into kept (id) values (1)", "table kept",
    ),
    "on conflict": (
        "insert into people (id, name) values (1, 'x') on conflict (id) do update"
        " set name = people.secret",
        "select name from people",
    ),
    "on conflict sub": (
        "insert into pub (id) values (1) on conflict (id) do update"
        " set note = (select secret from people limit 1)",
        "table pub",
    ),
    "merge": (
        "merge into pub using people on pub.id = people.id when matched then update set note = secret"
        " when not matched then insert (id, note) values (people.id, people.secret)",
        "table pub",
    ),
    "cte insert": (
        "with x as (insert into pub (id, note) select 400 + id, secret from people returning note)"
        " select note from x",
        "table pub",
    ),
    "cte update": (
        "with x as (update people set name = secret where id = 1 returning name) select 1",
        "select name from people",
    ),
    "create table as": ("create table kept_1 as select secret as note from people", "table kept_1"),
    "select into": ("select secret as note into kept_2 from people", "table kept_2"),
    "temp table": ("create temp table kept_3 as select secret as note from people", "table kept_3"),
    "temp table by call": ("create temp table kept_4 as select app.secret() as note", "table kept_4"),
    "temp insert": (
        "create temp table kept_5 (note text)", "insert into kept_5 select secret from people",
        "table kept_5",
    ),
    "temp shadow": (
        "create temp table pub (note text)", "insert into pub select secret from app.people",
        "select note from pub",
    ),
    "temp view": ("create temp view pub as select secret as note from app.people", "select note from pub"),
    "create view": ("create view seen as select secret as note from people", "table seen"),
    "refresh": ("refresh materialized view mv", "table mv"),
    "create materialized": ("create materialized view kept_6 as select secret from people", "table kept_6"),
    "ctas execute": ("prepare p1 as select secret as note from people", "create table kept_7 as execute p1",
                     "table kept_7"),
    # names that change their meaning
    "rename column": ("alter table people rename column secret to open", "select open from people"),
    "rename table": ("alter table people rename to open", "select secret from open"),
    "rename schema": ("alter schema app rename to open", "select secret from open.people"),
    "set schema": ("alter table people set schema public", "select secret from public.people"),
    "rename in transaction": ("begin", "alter table people rename column secret to open",
                              "select open from people", "rollback"),
    "schema in transaction": ("begin", "alter schema app rename to open",
                              "select secret from open.people", "rollback"),
    "inherit": ("create table mother (id int, secret text)", "alter table people inherit mother",
                "select secret from mother"),
    "inherits": ("create table kid () inherits (people)", "alter table people no inherit kid"),
    "attach": ("alter table parts detach partition parts_1", "select secret from parts_1"),
    "alter type": ("alter table pub alter column doc type text using app.secret()", "table pub"),
    "add default": ("alter table pub add column more text default app.secret()", "select more from pub"),
    "add generated": (
        "alter table people add column more text generated always as (secret) stored",
        "select more from people",
    ),
    "index": ("create unique index on people ((secret is null))",),
    "rule": ("create rule r as on insert to owners do also insert into pub (id, note)"
             " select 500 + id, secret from people", "insert into owners values (50, 'x')", "table pub"),
    "trigger": ("create trigger t after insert on owners execute function app.secret()",
                "insert into owners values (51, 'x')"),
    "policy": ("create policy p on pub using (app.secret()::int > 0)", "table pub"),
    # prepared, cursors, portals
    "prepare": ("prepare p as select secret from people", "execute p"),
    "prepare call": ("prepare p(text) as select $1", "execute p(app.secret())"),
    "execute hands over": ("prepare p(text) as insert into pub (id, note) values (600, $1)",
                           "execute p(app.secret())", "table pub"),
    "execute update": ("prepare p(text) as update pub set note = $1 where id = 4",
                       "execute p(app.secret())", "table pub"),
    "cursor": ("begin", "declare c cursor for select secret from people", "fetch all c", "commit"),
    "hold": ("declare c cursor with hold for select secret from people", "fetch all c", "close c"),
    "binary cursor": ("begin", "declare c binary cursor for select secret, pin from people",
                      "fetch all c", "commit"),
    "scroll": ("begin", "declare c scroll cursor for select upper(secret) from people",
               "move 1 in c", "fetch backward 1 from c", "fetch absolute 2 from c", "commit"),
    "replaced": ("prepare p as select note from pub", "deallocate p; prepare p as select secret from people",
                 "execute p"),
    # code
    "call": ("select app.secret()", "select * from app.secrets()"),
    "stable": ("select id from people where secret = app.secret()", "select app.frozen()"),
    "field is a call": ("select pub.leak from pub",),
    "field of alias": ("select p.leak from app.pub p where id = 1", "select (p).leak from pub p"),
    "name of a harmless one": ("select age(pub) from pub",),
    "other named": ("select age(p) as id, p.id from app.pub as p order by 2",),
    "procedure": ("call says()",),
    "do": ("do $$ begin raise notice '%', (select secret from app.people limit 1); end $$",),
    "do insert": ("do $$ begin insert into app.pub (id, note) select 650, secret from app.people"
                  " limit 1; end $$", "table pub"),
    "define": ("create function mine() returns text language sql as 'select secret from app.people'",
               "select mine()"),
    "define temp": ("create function pg_temp.mine() returns text language sql as"
                    " 'select secret from app.people'", "select pg_temp.mine()"),
    "hand over": ("select keep(secret) from people where id = 1", "table pub"),
    "hand over a call": ("select keep(app.secret())", "table pub"),
    "hand over by procedure": ("select keep(x) from app.secrets() x limit 1", "table pub"),
    # elsewhere
    "set_config": ("select set_config('my.x', secret, false) from people", "show my.x",
                   "select current_setting('my.x')"),
    "set_config by call": ("select set_config('my.y', app.secret(), false)", "show my.y",
                           "select current_setting('my.y')", "select setting from pg_settings"
                           " where name = 'my.y'"),
    "set_config name": ("select set_config('application_name', app.secret(), false)",
                        "show application_name"),
    "set_config zone": ("select set_config('TimeZone', '<' || app.secret() || '>5', false)",
                        "show timezone", "select now()"),
    "set_config from": ("select * from set_config('my.z', (select secret from people limit 1), false)",
                        "show my.z"),
    "pg_settings": ("update pg_settings set setting = app.secret() where name = 'application_name'",
                    "show application_name"),
    "notify": ("listen ch", "select pg_notify('ch', secret) from people limit 1", "select 1"),
    "notify call": ("listen ch", "select pg_notify('ch', app.secret())", "select 1"),
    "large object": ("select lo_from_bytea(4242, secret::bytea) from people limit 1",
                     "select convert_from(lo_get(4242), 'UTF8')"),
    "large object call": ("select lo_from_bytea(4243, app.secret()::bytea)",
                          "select convert_from(lo_get(4243), 'UTF8')",
                          "select data from pg_largeobject"),
    "pg_stats": ("select most_common_vals::text, histogram_bounds::text from pg_stats",),
    "pg_statistic": ("select stavalues1::text, stavalues2::text from pg_statistic",),
    "pg_stat_activity": ("select query from pg_stat_activity",),
    "pg_prepared": ("prepare p as select 1", "table pg_prepared_statements"),
    "pg_cursors": ("begin", "declare c cursor for select 1", "table pg_cursors", "commit"),
    "server file": ("select pg_read_file('postmaster.pid')", "select pg_ls_dir('.')"),
    "sequence": ("select setval('seq', pin) from people limit 1", "select last_value from seq"),
    "advisory lock": ("select pg_advisory_lock(pin) from people limit 1",
                      "select (classid::int8 << 32) | objid::int8 from pg_locks where locktype = 'advisory'"),
    # copy
    "copy table": ("copy people to stdout", "copy people to stdout (format csv)"),
    "copy query": ("copy (select secret from people) to stdout", "copy (table v) to stdout"),
    "copy binary": ("copy people to stdout (format binary)",),
    "copy call": ("copy (select app.secret()) to stdout", "copy (select pub.leak from app.pub) to stdout"),
    "copy program": ("copy (select secret from people) to program 'cat >&2'",),
    "copy file": ("copy people to '/tmp/hoop-bypass-copy'", "copy pub from '/tmp/hoop-bypass-copy'"),
    # texts
    "cast error": ("select secret::int from people",),
    "date error": ("select secret::date, tail::inet from people",),
    "raise": ("select raises()",),
    "unique": ("insert into people (id, secret) select 900, secret from people limit 1",),
    "unique update": ("update people set secret = (select secret from people where id = 2) where id = 1",),
    "deferred": ("begin", "delete from pets where id = 2", "commit"),
    "deferred alone": ("delete from pets where id = 2",),
    "deferred check": ("begin", "delete from pets where id = 2", "set constraints all immediate",
                       "rollback"),
    "deferred late": ("begin", "delete from pets where id = 2", "select 1", "select id from pub",
                      "commit"),
    "deferred cascade": ("begin", "delete from owners where id = 2", "select 1", "commit"),
    "not null": ("update people set id = null where id = 1",),
    "check": ("update pets set owner = 500 where id = 1",),
    "cascade": ("delete from owners where id = 1",),
    "cascade update": ("update owners set id = 700 where id = 2",),
    "order by error": ("select name from people order by secret::int",),
    "where error": ("select name from people where secret::int > 0",),
    "limit error": ("select id from pub limit (select secret::int from people limit 1)",),
    "set error": ("select set_config('work_mem', secret, false) from people",),
    "to_regclass": ("select secret::regclass from people",),
    "array error": ("select ('{' || secret)::text[] from people",),
    "json error": ("select secret::json from people",),
    "xml error": ("select xmlparse(document secret) from people",),
    "debug": ("set client_min_messages = debug5", "set debug_print_plan = on",
              "select id from pub where note = app.frozen()", "reset client_min_messages"),
    "explain": ("explain analyze select * from people where secret = app.frozen()",),
    "explain call": ("explain select * from pub where note = app.frozen()",),
    "explain verbose": ("explain (analyze, verbose, format json) select app.frozen() || note from pub",),
}  # fmt: skip
# What needs more than its own statements to show anything, or shows only what is not looked for.
SILENT = frozenset(
    {
        *("index", "inherits", "trigger", "policy", "pg_prepared", "pg_cursors"),
        *("server file", "pg_stat_activity", "copy program", "show_trgm"),
        # This server is built without libxml.
        *("xmltable", "xml", "table_to_xml", "xml error"),
    }
)
