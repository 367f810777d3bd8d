"""Which of PostgreSQL's own relations may be read beside masks without hiding their columns.

``psql``'s backslash commands and every driver read them.  They describe the schema.  Left out is
what holds values of rows (statistics), texts of statements (which hold values), secrets, and what
a function can put a value of a row into (sequences).
"""

from __future__ import annotations

from hoopcore.sql.catalog import Table
from hoopcore.statement import Relation

_SECRET_TABLES = frozenset(
    {
        "pg_authid",  # password hashes
        "pg_largeobject",  # contents
        "pg_statistic",  # most common values and histograms
        "pg_statistic_ext_data",
        "pg_subscription",  # passwords in connection strings
        "pg_user_mapping",
    }
)

# Of those whose other columns pg_dump asks for.
_SECRET_COLUMNS = {"pg_subscription": frozenset({"subconninfo"})}

_HARMLESS_VIEWS = frozenset(
    {
        "pg_available_extension_versions",
        "pg_available_extensions",
        "pg_group",
        "pg_indexes",
        "pg_locks",
        "pg_matviews",
        "pg_policies",
        "pg_publication_tables",
        "pg_replication_slots",
        "pg_roles",
        "pg_rules",
        "pg_seclabels",
        "pg_settings",
        "pg_stat_all_indexes",
        "pg_stat_all_tables",
        "pg_stat_archiver",
        "pg_stat_bgwriter",
        "pg_stat_checkpointer",
        "pg_stat_database",
        "pg_stat_gssapi",
        "pg_stat_io",
        "pg_stat_slru",
        "pg_stat_ssl",
        "pg_stat_sys_indexes",
        "pg_stat_sys_tables",
        "pg_stat_user_functions",
        "pg_stat_user_indexes",
        "pg_stat_user_tables",
        "pg_stat_wal",
        "pg_stat_xact_all_tables",
        "pg_stat_xact_sys_tables",
        "pg_stat_xact_user_functions",
        "pg_stat_xact_user_tables",
        "pg_statio_all_indexes",
        "pg_statio_all_tables",
        "pg_statio_sys_indexes",
        "pg_statio_sys_tables",
        "pg_statio_user_indexes",
        "pg_statio_user_tables",
        "pg_tables",
        "pg_timezone_abbrevs",
        "pg_timezone_names",
        "pg_user",
        "pg_views",
    }
)

# The tables of pg_catalog that hold none of the above, as PostgreSQL 15 and 18 have them.
_TABLES = frozenset(
    {
        "pg_aggregate",
        "pg_am",
        "pg_amop",
        "pg_amproc",
        "pg_attrdef",
        "pg_attribute",
        "pg_auth_members",
        "pg_cast",
        "pg_class",
        "pg_collation",
        "pg_constraint",
        "pg_conversion",
        "pg_database",
        "pg_db_role_setting",
        "pg_default_acl",
        "pg_depend",
        "pg_description",
        "pg_enum",
        "pg_event_trigger",
        "pg_extension",
        "pg_foreign_data_wrapper",
        "pg_foreign_server",
        "pg_foreign_table",
        "pg_index",
        "pg_inherits",
        "pg_init_privs",
        "pg_language",
        "pg_largeobject_metadata",
        "pg_namespace",
        "pg_opclass",
        "pg_operator",
        "pg_opfamily",
        "pg_parameter_acl",
        "pg_partitioned_table",
        "pg_policy",
        "pg_proc",
        "pg_publication",
        "pg_publication_namespace",
        "pg_publication_rel",
        "pg_range",
        "pg_replication_origin",
        "pg_rewrite",
        "pg_seclabel",
        "pg_sequence",
        "pg_shdepend",
        "pg_shdescription",
        "pg_shseclabel",
        "pg_statistic_ext",
        "pg_subscription_rel",
        "pg_tablespace",
        "pg_transform",
        "pg_trigger",
        "pg_ts_config",
        "pg_ts_config_map",
        "pg_ts_dict",
        "pg_ts_parser",
        "pg_ts_template",
        "pg_type",
    }
)


def describes_schema(relation: Relation) -> bool:
    """Whether a text names, by its schema, what only describes the schema, whatever the catalog.

    Without a schema it may be a temporary table of that name, which comes first.
    """
    if relation.schema == "pg_catalog":
        return relation.name in _TABLES or relation.name in _HARMLESS_VIEWS
    return relation.schema == "information_schema"


# They show the options of user mappings and foreign servers, passwords among them.
_SECRET_VIEWS = frozenset(
    {
        "_pg_foreign_data_wrappers",
        "_pg_foreign_servers",
        "_pg_foreign_table_columns",
        "_pg_foreign_tables",
        "_pg_user_mappings",
        "column_options",
        "foreign_data_wrapper_options",
        "foreign_server_options",
        "foreign_table_options",
        "user_mapping_options",
    }
)


def is_harmless_column(table: Table, attnum: int) -> bool:
    """Whether this column of a relation that is not harmless holds nothing secret all the same."""
    if table.schema != "pg_catalog" or not table.system:
        return False
    secret = _SECRET_COLUMNS.get(table.name)
    return secret is not None and any(
        number == attnum and name not in secret for number, name, _ in table.columns
    )


def is_harmless(table: Table) -> bool:
    """Whether initdb made it and none of its columns can hold a value of a user's row."""
    if not table.system:
        return False
    if table.schema == "information_schema":
        return table.name not in _SECRET_VIEWS
    if table.schema != "pg_catalog":
        return False
    if table.ordinary:
        return table.name not in _SECRET_TABLES
    return table.name in _HARMLESS_VIEWS
