-- What graphical clients ask of a server before anybody has typed anything: the catalogs, columns
-- and functions that DBeaver, DataGrip and pgAdmin use, in our own words.  A line of dashes and
-- a name begins each; "moves" says that the answer is another one each time, "hidden" that its
-- cells are NULL where masks apply: the texts of others' statements, and code that is not known.

---- dbeaver: session moves
set extra_float_digits = 3;
set application_name = 'a graphical client';
select current_schema(), session_user, current_user, current_database();
show search_path;
show transaction isolation level;
select version();
select current_setting('server_version_num')::int, pg_catalog.pg_backend_pid();
---- dbeaver: settings
select * from pg_catalog.pg_settings where name = 'standard_conforming_strings';
---- dbeaver: databases
select db.oid, db.datname, db.encoding, db.datdba, pg_catalog.pg_encoding_to_char(db.encoding), pg_catalog.shobj_description(db.oid, 'pg_database') from pg_catalog.pg_database db where datname = 'shop';
---- dbeaver: what this server knows
select * from pg_catalog.pg_enum where 1 <> 1 limit 1;
select reltype from pg_catalog.pg_class where 1 <> 1 limit 1;
---- dbeaver: types
select t.oid, t.*, c.relkind, pg_catalog.format_type(nullif(t.typbasetype, 0), t.typtypmod) as base, d.description from pg_catalog.pg_type t left outer join pg_catalog.pg_type et on et.oid = t.typelem left outer join pg_catalog.pg_class c on c.oid = t.typrelid left outer join pg_catalog.pg_description d on t.oid = d.objoid where t.typname is not null and (c.relkind is null or c.relkind = 'c') and (et.typcategory is null or et.typcategory <> 'C') order by t.oid;
---- dbeaver: roles and access
select a.oid, a.rolname, a.rolsuper, a.rolconfig, pd.description from pg_catalog.pg_roles a left join pg_catalog.pg_shdescription pd on a.oid = pd.objoid order by a.rolname;
select * from pg_catalog.pg_auth_members where member = 10;
select t.oid, t.*, pg_catalog.pg_tablespace_location(t.oid) as place from pg_catalog.pg_tablespace t order by t.oid;
---- dbeaver: schemas
select n.oid, n.*, d.description from pg_catalog.pg_namespace n left outer join pg_catalog.pg_description d on d.objoid = n.oid and d.objsubid = 0 and d.classoid = 'pg_namespace'::regclass order by nspname;
---- dbeaver: tables
select c.oid, c.*, d.description, pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr, pg_catalog.pg_get_partkeydef(c.oid) as partition_key from pg_catalog.pg_class c left outer join pg_catalog.pg_description d on d.objoid = c.oid and d.objsubid = 0 and d.classoid = 'pg_class'::regclass where c.relnamespace = 'public'::regnamespace and c.relkind not in ('i', 'I', 'c') order by c.oid;
---- dbeaver: columns
select c.relname, a.attname, a.attnum, a.atttypid, a.attnotnull, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value, dsc.description, dep.objid from pg_catalog.pg_attribute a inner join pg_catalog.pg_class c on a.attrelid = c.oid left outer join pg_catalog.pg_attrdef ad on a.attrelid = ad.adrelid and a.attnum = ad.adnum left outer join pg_catalog.pg_description dsc on c.oid = dsc.objoid and a.attnum = dsc.objsubid left outer join pg_catalog.pg_depend dep on dep.refobjid = a.attrelid and dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid where not a.attisdropped and c.oid = 'public.customers'::regclass order by a.attnum;
---- dbeaver: constraints
select c.oid, c.conname, c.contype, c.conkey, c.confkey, t.relname as tabrelname, rt.relnamespace as refnamespace, d.description, case when c.contype = 'c' then substring(pg_catalog.pg_get_constraintdef(c.oid), 7) else null end consrc_copy from pg_catalog.pg_constraint c inner join pg_catalog.pg_class t on t.oid = c.conrelid left outer join pg_catalog.pg_class rt on rt.oid = c.confrelid left outer join pg_catalog.pg_description d on d.objoid = c.oid and d.objsubid = 0 and d.classoid = 'pg_constraint'::regclass where c.conrelid = 'public.orders'::regclass order by c.oid;
---- dbeaver: indexes
select i.indexrelid, i.indkey as keys, c.relname, c.relam, tc.relname as tabrelname, pg_catalog.pg_get_expr(i.indpred, i.indrelid) as pred_expr, pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) as expr, pg_catalog.pg_relation_size(i.indexrelid) as size from pg_catalog.pg_index i inner join pg_catalog.pg_class c on c.oid = i.indexrelid inner join pg_catalog.pg_class tc on tc.oid = i.indrelid where i.indrelid = 'public.customers'::regclass order by tabrelname, c.relname;
select pg_catalog.pg_stat_get_numscans('public.customers_pkey'::regclass) is not null;
---- dbeaver: definitions
select pg_catalog.pg_get_viewdef('information_schema.tables'::regclass, true);
select pg_catalog.pg_get_indexdef('public.customers_pkey'::regclass);
select p.oid, p.proname, pg_catalog.pg_get_function_result(p.oid), pg_catalog.pg_get_function_identity_arguments(p.oid), pg_catalog.pg_get_expr(p.proargdefaults, 0) from pg_catalog.pg_proc p where p.pronamespace = 'public'::regnamespace order by p.oid;
select x.oid, x.tgname, pg_catalog.pg_get_triggerdef(x.oid, true) from pg_catalog.pg_trigger x where x.tgrelid = 'public.orders'::regclass and not x.tgisinternal;
select r.oid, r.rulename, pg_catalog.pg_get_ruledef(r.oid) as definition from pg_catalog.pg_rewrite r where r.ev_class = 'public.orders'::regclass;
select pg_catalog.pg_get_functiondef('pg_catalog.pg_get_viewdef(oid)'::regprocedure);
---- dbeaver: sizes and statistics moves
select c.oid, c.reltuples::bigint, pg_catalog.pg_total_relation_size(c.oid), pg_catalog.pg_relation_size(c.oid) from pg_catalog.pg_class c where c.relname = 'orders';
select l.pid, l.locktype, l.mode, l.granted from pg_catalog.pg_locks l order by l.pid limit 20;
---- dbeaver: extensions and others
select e.oid, e.extname, e.extversion, n.nspname, array_to_string(e.extconfig, ',') from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace order by e.oid;
select name, default_version, installed_version, comment from pg_catalog.pg_available_extensions order by name;
select l.oid, l.* from pg_catalog.pg_language l order by l.oid;
select c.oid, c.collname, c.collprovider from pg_catalog.pg_collation c order by c.oid limit 50;
select am.oid, am.* from pg_catalog.pg_am am order by am.oid;
select evt.oid, evt.evtname from pg_catalog.pg_event_trigger evt;
select w.oid, w.fdwname from pg_catalog.pg_foreign_data_wrapper w;
select k.word, k.catcode from pg_catalog.pg_get_keywords() k order by k.word limit 20;
---- dbeaver: rows of a table
select x.* from public.orders x order by x.id;
select count(*) from public.orders;

---- datagrip: session moves
show datestyle;
select round(extract(epoch from pg_catalog.pg_postmaster_start_time() at time zone 'UTC')) as startup;
select l.transactionid::varchar::bigint as transaction_id from pg_catalog.pg_locks l where l.transactionid is not null order by pg_catalog.age(l.transactionid) desc limit 1;
---- datagrip: databases and roles
select n.oid::bigint as id, datname as name, d.description, datistemplate, datallowconn, pg_catalog.pg_get_userbyid(n.datdba) as owner from pg_catalog.pg_database n left join pg_catalog.pg_shdescription d on n.oid = d.objoid order by case when datname = pg_catalog.current_database() then -1::bigint else n.oid::bigint end;
select r.oid::bigint as role_id, rolname, rolsuper, rolvaliduntil, rolbypassrls, rolconfig, d.description from pg_catalog.pg_roles r left join pg_catalog.pg_shdescription d on d.objoid = r.oid order by 1;
select member id, roleid role_id, admin_option from pg_catalog.pg_auth_members order by id, roleid::text;
select name, is_dst from pg_catalog.pg_timezone_names where name like 'Europe/L%' union distinct select abbrev as name, is_dst from pg_catalog.pg_timezone_abbrevs where abbrev = 'CET' order by 1;
---- datagrip: schemas moves
select n.oid::bigint as id, n.xmin as state_number, nspname as name, d.description, pg_catalog.pg_get_userbyid(n.nspowner) as owner from pg_catalog.pg_namespace n left join pg_catalog.pg_description d on n.oid = d.objoid order by case when nspname = pg_catalog.current_schema() then -1::bigint else n.oid::bigint end;
---- datagrip: tables
select t.relkind as table_kind, t.relname as table_name, t.oid as table_id, t.xmin as state, case when relkind in ('p', 'r') then false else true end as other, pg_catalog.array_to_string(t.reloptions, ', ') as options, t.relpersistence, (select pg_catalog.array_agg(inhparent::bigint order by inhseqno)::varchar from pg_catalog.pg_inherits where t.oid = inhrelid) as ancestors, t.relispartition, pg_catalog.pg_get_partkeydef(t.oid), pg_catalog.pg_get_expr(t.relpartbound, t.oid) as bound, pg_catalog.pg_get_userbyid(t.relowner) as owner from pg_catalog.pg_class t where relnamespace = 'public'::regnamespace::oid and relkind in ('r', 'm', 'v', 'f', 'p') order by table_kind, table_id;
with t as (select distinct t.oid as table_id, t.relname as table_name from pg_catalog.pg_class t, pg_catalog.pg_attribute a where t.relnamespace = 'public'::regnamespace and t.relkind in ('r', 'p') and a.attrelid = t.oid) select t.table_id, c.attnum as position, c.attname as name, c.atttypmod as type_mod, pg_catalog.format_type(c.atttypid, c.atttypmod) as type_spec, pg_catalog.pg_get_expr(d.adbin, t.table_id) as default_expr, c.attidentity::varchar, coalesce(col_description(c.attrelid, c.attnum), '') from t join pg_catalog.pg_attribute c on t.table_id = c.attrelid left join pg_catalog.pg_attrdef d on (c.attrelid, c.attnum) = (d.adrelid, d.adnum) where attnum > 0 and not attisdropped order by table_id, attnum;
select ind_stor.relname index_name, ind_head.indisunique is_unique, pg_catalog.array_to_string(array(select case when k = 0 then pg_catalog.pg_get_indexdef(ind_head.indexrelid, k + 1, true) else pg_catalog.pg_get_indexdef(ind_head.indexrelid, k + 1, true) end from pg_catalog.generate_subscripts(ind_head.indkey, 1) as k order by k), ',') cols, pg_catalog.pg_index_column_has_property(ind_head.indexrelid, 1, 'asc') from pg_catalog.pg_index ind_head join pg_catalog.pg_class ind_stor on ind_stor.oid = ind_head.indexrelid where ind_head.indrelid in ('public.orders'::regclass, 'public.customers'::regclass) order by 1;
select t.oid table_id, c.oid::bigint con_id, c.contype con_kind, c.conname con_name, c.conkey::varchar con_columns, confrelid ref_table_id, confupdtype::varchar, pg_catalog.pg_get_expr(conbin, t.oid) con_expression from pg_catalog.pg_class t join pg_catalog.pg_constraint c on t.oid = c.conrelid where t.relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'f', 'p') order by con_id;
---- datagrip: sources
select t.oid as view_id, pg_catalog.pg_get_viewdef(t.oid, true) as source_text from pg_catalog.pg_class t join pg_catalog.pg_namespace n on t.relnamespace = n.oid where n.nspname = 'information_schema' and t.relkind in ('m', 'v') order by t.oid limit 5;
with system_languages as (select oid as lang from pg_catalog.pg_language where lanname in ('c', 'internal')) select oid as id, pg_catalog.pg_get_function_arguments(oid) as arguments_def, pg_catalog.pg_get_function_result(oid) as result_def, pg_catalog.pg_get_function_sqlbody(oid) as sqlbody_def, prosrc as source_text from pg_catalog.pg_proc where pronamespace = 'public'::regnamespace and not (prolang in (select lang from system_languages)) order by oid;
select s.seqrelid, s.seqstart, s.seqmax from pg_catalog.pg_sequence s order by 1;
---- datagrip: privileges
select t.oid as object_id, t.relacl as acl from pg_catalog.pg_class t where t.relnamespace = 'public'::regnamespace and t.relacl is not null order by 1;
---- datagrip: rows of a table
select t.* from public.orders t order by t.id limit 501;

---- pgadmin: session
set DateStyle=ISO; set client_min_messages=notice; select set_config('bytea_output', 'hex', false) from pg_catalog.pg_show_all_settings() where name = 'bytea_output'; set client_encoding='UTF8';
---- pgadmin: who
select roles.oid as id, roles.rolname as name, roles.rolsuper as is_superuser, case when 'pg_signal_backend' = any(array(with recursive cte as (select pg_roles.oid, pg_roles.rolname from pg_catalog.pg_roles where pg_roles.oid = roles.oid union all select m.roleid, pgr.rolname from cte cte_1 join pg_catalog.pg_auth_members m on m.member = cte_1.oid join pg_catalog.pg_roles pgr on pgr.oid = m.roleid) select rolname from cte)) then true else false end as can_signal from pg_catalog.pg_roles as roles where rolname = current_user;
select db.oid as did, db.datname, db.datallowconn, pg_catalog.pg_encoding_to_char(db.encoding), pg_catalog.has_database_privilege(db.oid, 'CREATE') as cancreate from pg_catalog.pg_database db where db.datname = current_database();
---- pgadmin: encryption moves
select gss_authenticated, encrypted from pg_catalog.pg_stat_gssapi where pid = pg_catalog.pg_backend_pid();
---- pgadmin: dashboard moves
select locktype, relation::regclass, transactionid::text, mode, granted, fastpath from pg_catalog.pg_locks l left outer join pg_catalog.pg_database d on l.database = d.oid where datname = current_database() limit 10;
---- pgadmin: recovery
select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_is_wal_replay_paused() else false end as paused;
---- pgadmin: browser
select nsp.oid, nsp.nspname as name, pg_catalog.has_schema_privilege(nsp.oid, 'CREATE') as can_create, pg_catalog.has_schema_privilege(nsp.oid, 'USAGE') as has_usage from pg_catalog.pg_namespace nsp where nspname not like E'pg\_%' and not (nsp.nspname = 'information_schema') order by nspname;
select rel.oid, rel.relname as name, (select count(*) from pg_catalog.pg_trigger where tgrelid = rel.oid and tgisinternal = false) as triggercount, (select count(1) from pg_catalog.pg_inherits where inhrelid = rel.oid limit 1) as is_inherits, pg_catalog.obj_description(rel.oid, 'pg_class') as description from pg_catalog.pg_class rel where rel.relkind in ('r', 's', 't', 'p') and rel.relnamespace = 'public'::regnamespace::oid and not rel.relispartition order by rel.relname;
---- pgadmin: a table
select rel.oid, rel.relname as name, rel.relacl as relacl_str, pg_catalog.pg_get_userbyid(rel.relowner) as relowner, substring(pg_catalog.array_to_string(rel.reloptions, ',') from 'fillfactor=([0-9]*)') as fillfactor, pg_catalog.array_to_string(con.conkey, ','), (case when rel.relrowsecurity then true else false end), (select pg_catalog.array_agg(provider || '=' || label) from pg_catalog.pg_seclabels sl1 where sl1.objoid = rel.oid and sl1.objsubid = 0) as seclabels from pg_catalog.pg_class rel left join pg_catalog.pg_constraint con on con.conrelid = rel.oid and con.contype = 'p' where rel.oid = 'public.customers'::regclass;
select coalesce(gt.rolname, 'PUBLIC') grantee, g.rolname grantor, pg_catalog.array_agg(privilege_type order by privilege_type) as privileges from (select (d).grantee as grantee, (d).grantor as grantor, (d).privilege_type as privilege_type from (select pg_catalog.aclexplode(rel.relacl) as d from pg_catalog.pg_class rel where rel.oid = 'public.customers'::regclass) a) d left join pg_catalog.pg_roles g on (d.grantor = g.oid) left join pg_catalog.pg_roles gt on (d.grantee = gt.oid) group by g.rolname, gt.rolname;
select att.attname as name, att.attnum, pg_catalog.format_type(ty.oid, att.atttypmod) as cltype, pg_catalog.pg_get_expr(def.adbin, def.adrelid) as defval, pg_catalog.col_description(att.attrelid, att.attnum), (select count(1) from pg_catalog.pg_type t2 where t2.typname = ty.typname) > 1 as isdup from pg_catalog.pg_attribute att join pg_catalog.pg_type ty on ty.oid = atttypid left outer join pg_catalog.pg_attrdef def on adrelid = att.attrelid and adnum = att.attnum where att.attrelid = 'public.orders'::regclass and att.attnum > 0 and att.attisdropped is false order by att.attnum;
select pg_catalog.pg_get_constraintdef(oid, true) from pg_catalog.pg_constraint where conrelid = 'public.orders'::regclass order by oid;
select nspname as ns, refnspname from (select n.nspname, r.nspname as refnspname from pg_catalog.pg_namespace n cross join pg_catalog.pg_namespace r where n.nspname = 'public' and r.nspname = 'pg_catalog') x;
---- pgadmin: sizes moves
select pg_catalog.pg_size_pretty(pg_catalog.pg_relation_size('public.orders'::regclass)), pg_catalog.pg_size_pretty(pg_catalog.pg_database_size(current_database()));
select st.seq_scan, st.n_live_tup, st.last_vacuum, pg_catalog.pg_stat_get_live_tuples(st.relid), pg_catalog.pg_stat_get_dead_tuples(st.relid) from pg_catalog.pg_stat_all_tables st where st.relid = 'public.orders'::regclass;
---- pgadmin: query tool
begin;
select at.attname, at.attnum, ty.typname from pg_catalog.pg_attribute at left join pg_catalog.pg_type ty on (ty.oid = at.atttypid) where attrelid = 'public.orders'::regclass and attnum = any (array(select con.conkey from pg_catalog.pg_class rel left outer join pg_catalog.pg_constraint con on con.conrelid = rel.oid and con.contype = 'p' where rel.relkind in ('r', 's', 't', 'p') and rel.oid = 'public.orders'::regclass)::int2[]) order by 2;
explain (format json, analyze false, costs false) select * from public.orders;
end;
select oid, pg_catalog.format_type(oid, null) as typname from pg_catalog.pg_type where oid = any (array[23, 25]) order by oid;

---- all: other sessions hidden
select sa.pid, sa.state, sa.application_name, sa.backend_start from pg_catalog.pg_stat_activity sa where sa.pid = pg_catalog.pg_backend_pid();
select case when pg_catalog.pg_is_in_recovery() then null else (pg_catalog.txid_current() % (2 ^ 32)::bigint)::varchar::bigint end as now_at;
select 'session_stats' as chart_name, pg_catalog.row_to_json(t) as chart_data from (select (select count(*) from pg_catalog.pg_stat_activity where datname = current_database()) as "Total", (select count(*) from pg_catalog.pg_stat_activity where state = 'active') as "Active") t union all select 'tps_stats', pg_catalog.row_to_json(t) from (select (select sum(xact_commit) + sum(xact_rollback) from pg_catalog.pg_stat_database where datname = current_database()) as "Transactions") t;
select pid, datname, usename, application_name, client_addr, pg_catalog.to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS TZ') as backend_start, state, wait_event_type || ': ' || wait_event as wait_event, array_to_string(pg_catalog.pg_blocking_pids(pid), ',') as blocking_pids from pg_catalog.pg_stat_activity where datname = current_database();

---- information schema
select table_name, column_name, data_type, column_default from information_schema.columns where table_schema = 'public' order by table_name, ordinal_position;
select constraint_name, table_name, constraint_type from information_schema.table_constraints where table_schema = 'public' order by 1, 2;
select kcu.constraint_name, kcu.column_name from information_schema.key_column_usage kcu join information_schema.referential_constraints rc on rc.constraint_name = kcu.constraint_name order by 1, 2;
select routine_name from information_schema.routines where specific_schema = 'public';
