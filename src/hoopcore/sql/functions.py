"""What of ``pg_catalog`` is known to be harmless: functions, operators, types.

A name is on the list when calling it, with any arguments, neither changes anything that outlives
the statement, nor reaches a relation, file, session or query that its arguments name.  Declared
volatility decides nothing: ``table_to_xml`` is STABLE and reads any table, ``random`` is VOLATILE
and harmless.  Names not on the list are not forbidden; they make the effect ``call``.

Never on it: what takes a relation, a query or a schema by name and reads it (``table_to_xml``,
``query_to_xml``, ``ts_stat``, ``ts_rewrite``, ``cursor_to_xml``), files, large objects, sequences,
advisory locks, replication, other sessions, ``pg_notify``, ``set_config`` (read by itself), and
what runs a type's own code from a name in a string (``pg_input_is_valid``).

Order: functions by family, then what stands for a function without looking like a call.
A test compares every name here with real servers.
"""

from __future__ import annotations

_AGGREGATES = """
any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp
every json_agg json_agg_strict json_object_agg json_object_agg_strict json_object_agg_unique
json_object_agg_unique_strict jsonb_agg jsonb_agg_strict jsonb_object_agg jsonb_object_agg_strict
jsonb_object_agg_unique jsonb_object_agg_unique_strict max min mode percentile_cont percentile_disc
range_agg range_intersect_agg regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope
regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance
xmlagg
"""
_WINDOWS = """
cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
"""
_NUMBERS = """
abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh bit_count cbrt ceil ceiling cos
cosd cosh cot cotd crc32 crc32c degrees div erf erfc exp factorial floor gamma gcd int2 int4 int8
float4 float8 numeric lcm lgamma ln log log10 min_scale mod money numeric_inc pi pow power radians
random random_normal round scale sign sin sind sinh sqrt tan tand tanh to_bin to_hex to_oct
trim_scale trunc width_bucket
"""
_STRINGS = """
ascii bit bit_length bool bpchar btrim bytea casefold char char_length character_length chr concat
concat_ws convert convert_from convert_to decode encode format get_bit get_byte hashtext
hashtextextended initcap is_normalized left length like like_escape lower lpad ltrim md5 name
normalize notlike octet_length overlay parse_ident pg_client_encoding position quote_ident
quote_literal quote_nullable regexp_count regexp_instr regexp_like regexp_match regexp_matches
regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse
right rpad rtrim set_bit set_byte sha224 sha256 sha384 sha512 similar_escape similar_to_escape
split_part starts_with string_to_array string_to_table strpos substr substring text to_ascii
to_number translate unicode_assigned unistr upper varbit varchar
"""
_TIMES = """
age clock_timestamp date date_add date_bin date_part date_subtract date_trunc extract interval
isfinite justify_days justify_hours justify_interval make_date make_interval make_time
make_timestamp make_timestamptz now overlaps statement_timestamp time timeofday timestamp
timestamptz timetz timezone to_char to_date to_timestamp transaction_timestamp
pg_sleep pg_sleep_for pg_sleep_until
"""
_ARRAYS_AND_RANGES = """
array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position
array_positions array_prepend array_remove array_replace array_reverse array_sample array_shuffle
array_sort array_to_string array_upper cardinality generate_series generate_subscripts num_nonnulls
num_nulls trim_array unnest datemultirange daterange int4multirange int4range int8multirange
int8range isempty lower_inc lower_inf multirange nummultirange numrange range_merge tsmultirange
tsrange tstzmultirange tstzrange upper_inc upper_inf enum_first enum_last enum_range
"""
_JSON_AND_XML = """
array_to_json json_array_element json_array_element_text json_array_elements
json_array_elements_text json_array_length json_build_array json_build_object json_each
json_each_text json_extract_path json_extract_path_text json_object json_object_field
json_object_field_text json_object_keys json_populate_record json_populate_recordset
json_strip_nulls json_to_record json_to_recordset json_typeof jsonb_array_element
jsonb_array_element_text jsonb_array_elements jsonb_array_elements_text jsonb_array_length
jsonb_build_array jsonb_build_object jsonb_concat jsonb_delete jsonb_delete_path jsonb_each
jsonb_each_text jsonb_exists jsonb_exists_all jsonb_exists_any jsonb_extract_path
jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_field jsonb_object_field_text
jsonb_object_keys jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz
jsonb_path_query jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first
jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record jsonb_populate_recordset
jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset
jsonb_typeof row_to_json to_json to_jsonb xml xml_is_well_formed xml_is_well_formed_content
xml_is_well_formed_document xmlcomment xmlexists xmltext xpath xpath_exists
"""
_OTHER_TYPES = """
abbrev area box broadcast center cidr circle diagonal diameter family gen_random_uuid height host
hostmask inet_merge inet_same_family isclosed isopen line lseg macaddr macaddr8
macaddr8_set7bit masklen netmask network npoints path pclose point polygon popen radius
set_masklen slope uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 width oid xid pg_lsn
regclass
"""
_TEXT_SEARCH = """
array_to_tsvector get_current_ts_config json_to_tsvector jsonb_to_tsvector numnode
phraseto_tsquery plainto_tsquery querytree setweight strip to_tsquery to_tsvector ts_debug
ts_delete ts_filter ts_headline ts_lexize ts_parse ts_rank ts_rank_cd ts_token_type tsquery_phrase
tsvector_to_array websearch_to_tsquery
"""
# What the session is, and what psql's \d, drivers and ORMs ask the catalog.
_CATALOG = """
aclexplode acldefault makeaclitem col_description current_database current_query
current_schema current_schemas current_setting current_user format_type
getdatabaseencoding getpgusername has_any_column_privilege has_column_privilege
has_database_privilege has_foreign_data_wrapper_privilege has_function_privilege
has_language_privilege has_largeobject_privilege has_parameter_privilege has_schema_privilege
has_sequence_privilege has_server_privilege has_table_privilege has_tablespace_privilege
has_type_privilege icu_unicode_version inet_client_addr inet_client_port inet_server_addr
inet_server_port mxid_age obj_description oidvectortypes pg_available_extension_versions
pg_available_extensions pg_backend_pid pg_basetype
pg_blocking_pids pg_char_to_encoding pg_collation_actual_version pg_collation_for
pg_collation_is_visible pg_column_compression pg_column_is_updatable pg_column_size
pg_conf_load_time pg_conversion_is_visible pg_current_snapshot pg_current_wal_flush_lsn
pg_current_wal_insert_lsn pg_current_wal_lsn pg_current_xact_id_if_assigned
pg_database_collation_actual_version pg_database_size pg_describe_object pg_encoding_max_length
pg_encoding_to_char pg_extension_update_paths pg_filenode_relation pg_function_is_visible
pg_get_acl pg_get_catalog_foreign_keys pg_get_constraintdef pg_get_expr
pg_get_function_arg_default pg_get_function_arguments pg_get_function_identity_arguments
pg_get_function_result pg_get_function_sqlbody pg_get_functiondef pg_get_indexdef pg_get_keywords
pg_get_object_address pg_get_partition_constraintdef pg_get_partkeydef pg_get_publication_tables
pg_get_replica_identity_index pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef
pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_get_triggerdef
pg_get_userbyid pg_get_viewdef pg_has_role pg_identify_object pg_identify_object_as_address
pg_index_column_has_property pg_index_has_property pg_indexam_has_property pg_indexes_size
pg_get_wal_replay_pause_state pg_is_in_recovery pg_is_other_temp_schema pg_is_wal_replay_paused
pg_jit_available pg_last_wal_receive_lsn
pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_listening_channels pg_my_temp_schema
pg_notification_queue_usage pg_opclass_is_visible pg_operator_is_visible pg_opfamily_is_visible
pg_options_to_table pg_partition_ancestors pg_partition_root pg_partition_tree
pg_postmaster_start_time pg_relation_filenode pg_relation_filepath pg_relation_is_publishable
pg_relation_is_updatable pg_relation_size pg_sequence_last_value pg_sequence_parameters
pg_settings_get_flags pg_size_bytes pg_size_pretty pg_snapshot_xip pg_snapshot_xmax
pg_snapshot_xmin pg_stat_get_analyze_count pg_stat_get_autoanalyze_count
pg_stat_get_autovacuum_count pg_stat_get_blocks_fetched pg_stat_get_blocks_hit
pg_stat_get_dead_tuples pg_stat_get_ins_since_vacuum pg_stat_get_last_analyze_time
pg_stat_get_last_autoanalyze_time pg_stat_get_last_autovacuum_time pg_stat_get_last_vacuum_time
pg_stat_get_live_tuples pg_stat_get_mod_since_analyze pg_stat_get_numscans
pg_stat_get_tuples_deleted pg_stat_get_tuples_fetched pg_stat_get_tuples_hot_updated
pg_stat_get_tuples_inserted pg_stat_get_tuples_returned pg_stat_get_tuples_updated
pg_stat_get_vacuum_count pg_statistics_obj_is_visible pg_table_is_visible pg_table_size
pg_tablespace_databases pg_tablespace_location pg_tablespace_size pg_total_relation_size
pg_trigger_depth pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible
pg_ts_template_is_visible pg_type_is_visible pg_typeof pg_visible_in_snapshot pg_wal_lsn_diff
pg_xact_commit_timestamp pg_xact_status row_security_active session_user shobj_description
system_user to_regclass to_regcollation to_regnamespace to_regoper to_regoperator to_regproc
to_regprocedure to_regrole to_regtype to_regtypemod txid_current_if_assigned
txid_current_snapshot txid_status txid_visible_in_snapshot unicode_version version
"""


def words(*lists: str) -> frozenset[str]:
    """The words of lists that are parted by blanks."""
    return frozenset(word for text in lists for word in text.split())


AGGREGATES: frozenset[str] = words(_AGGREGATES)
"""Functions of pg_catalog that make one value of many rows."""

HARMLESS: frozenset[str] = words(
    *(_AGGREGATES, _WINDOWS, _NUMBERS, _STRINGS, _TIMES, _ARRAYS_AND_RANGES),
    *(_JSON_AND_XML, _OTHER_TYPES, _TEXT_SEARCH, _CATALOG),
)
"""Functions of pg_catalog that are harmless with any arguments."""

OPERATORS: frozenset[str] = words(
    """
    !! !~ !~* !~~ !~~* # ## #- #> #>> % & && &< &<| &> * *< *<= *<> *= *> *>= + - -> ->> -|- /
    < <-> << <<= <<| <= <> <@ <^ = > >= >> >>= >^ ? ?# ?& ?- ?-| ?| ?|| @ @-@ @> @? @@ @@@ ^ ^@
    | |&> |/ |>> || ||/ ~ ~* ~<=~ ~<~ ~= ~>=~ ~>~ ~~ ~~*
    """
)
"""Operator names of pg_catalog.  Any other name is an operator somebody made."""

TYPES: frozenset[str] = words(
    """
    aclitem anyarray anyelement bit bool box bpchar bytea char cid cidr circle cstring date
    datemultirange daterange float4 float8 gtsvector inet int2 int2vector int4 int4multirange
    int4range int8 int8multirange int8range interval json jsonb jsonpath line lseg macaddr macaddr8
    money name numeric nummultirange numrange oid oidvector path pg_lsn pg_node_tree pg_snapshot
    point polygon record refcursor regclass regcollation regconfig regdictionary regnamespace
    regoper regoperator regproc regprocedure regrole regtype text tid time timestamp timestamptz
    timetz tsmultirange tsquery tsrange tstzmultirange tstzrange tsvector txid_snapshot unknown uuid
    varbit varchar void xid xid8 xml
    """
)
"""Base types of pg_catalog.  A cast to any other may run somebody's code: a domain's check."""

SERVER_FILES: frozenset[str] = words(
    """
    pg_read_file pg_read_binary_file pg_stat_file pg_ls_dir pg_ls_logdir pg_ls_waldir
    pg_ls_archive_statusdir pg_ls_tmpdir pg_ls_logicalsnapdir pg_ls_logicalmapdir
    pg_ls_replslotdir pg_ls_summariesdir pg_hba_file_rules pg_ident_file_mappings
    pg_show_all_file_settings lo_import lo_export pg_file_read pg_file_write pg_file_rename
    pg_file_unlink pg_file_sync pg_file_length pg_logdir_ls
    """
)
"""Functions that reach files of the server, those of adminpack included."""

ROW_MAKERS: frozenset[str] = words(
    """
    aclexplode generate_series generate_subscripts json_array_elements json_array_elements_text
    json_each json_each_text json_object_keys json_populate_recordset json_to_recordset
    jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys
    jsonb_path_query jsonb_path_query_tz jsonb_populate_recordset jsonb_to_recordset
    pg_available_extension_versions pg_available_extensions pg_extension_update_paths
    pg_get_catalog_foreign_keys pg_get_keywords pg_get_publication_tables pg_listening_channels
    pg_options_to_table pg_partition_ancestors pg_partition_tree pg_snapshot_xip
    pg_tablespace_databases regexp_matches regexp_split_to_table string_to_table ts_debug ts_parse
    ts_token_type unnest
    """
)
"""Harmless functions that give as many rows as their arguments say."""

OF_ROWS: frozenset[str] = words(
    """
    any_value array_agg concat first_value hash_record json_agg json_agg_strict json_build_array
    json_build_object jsonb_agg jsonb_agg_strict jsonb_build_array jsonb_build_object lag last_value
    lead max min mode quote_literal quote_nullable record_out record_send row_to_json to_json
    to_jsonb
    """
)
"""Harmless functions of one argument that may be a whole row, and give what is in it.

`x.f` calls f(x) where x has no column f."""

SWITCHES: frozenset[str] = words(
    "jit enable_hashjoin enable_mergejoin enable_nestloop enable_seqscan"
)
"""Settings that are on or off, and change nothing but how fast a statement is."""

# `x.f` calls f(x) where x has no column f: `SELECT t.pg_read_file FROM unnest(…) t` reads a file.
# The families below hold every function of pg_catalog that is not harmless, does more than compute
# and can be called with one argument; a column's name among them counts as a call.
_TRAP_FAMILIES = ("pg_", "lo_", "brin_", "gin_", "binary_upgrade_", "fmgr_")
_TRAPS = frozenset({"amvalidate", "currval", "nextval", "plpgsql_validator", "setseed", "ts_stat"})


def is_field_trap(name: str) -> bool:
    """Whether a column of this name, written ``x.name``, may run a function worth knowing of."""
    return name in _TRAPS or (name.startswith(_TRAP_FAMILIES) and name not in HARMLESS)


# Columns that harmless functions in FROM give; any other `f.name` of theirs may be a call.
FUNCTION_COLUMNS: frozenset[str] = words(
    """
    key value ordinality word catcode barelabel catdesc baredesc lexeme positions weights tokid
    token alias description dictionaries dictionary lexemes grantor grantee privilege_type
    is_grantable option_name option_value relid parentrelid isleaf level nspname relname attnames
    """
)
