"""What each kind of statement does that is no query: the table, and nothing else.

One row a kind, by the name the grammar gives it.  What a row cannot say, because it hangs on the
statement's parts, is found out by a function of the same kind in ``utility.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from hoopcore.statement import Effect


@dataclass(frozen=True, slots=True)
class Row:
    """What every statement of a kind does."""

    tag: str
    effects: frozenset[Effect]
    touches: Effect | None = None  # what happens to relations that it names
    opaque: bool = False
    copies: bool = False


def _row(
    tag: str, effects: str, *, touches: str = "", opaque: bool = False, copies: bool = False
) -> Row:
    kinds = frozenset(Effect(word) for word in effects.split())
    return Row(tag, kinds, Effect(touches) if touches else None, opaque, copies)


def _ddl(tag: str, effects: str = "", *, opaque: bool = False, copies: bool = False) -> Row:
    """A definition: the relations it names get the effect, its expressions are walked."""
    return _row(tag, f"ddl {effects}", touches="ddl", opaque=opaque, copies=copies)


TABLE: dict[str, Row] = {
    "explain_stmt": _row("EXPLAIN", ""),
    "prepare_stmt": _row("PREPARE", "prepare"),
    "execute_stmt": _row("EXECUTE", "prepare", opaque=True),
    "deallocate_stmt": _row("DEALLOCATE", "prepare"),
    "declare_cursor_stmt": _row("DECLARE CURSOR", "prepare"),
    "fetch_stmt": _row("FETCH", "prepare", opaque=True),
    "close_portal_stmt": _row("CLOSE CURSOR", "prepare"),
    "discard_stmt": _row("DISCARD", "prepare"),
    "create_table_as_stmt": _row("CREATE TABLE AS", "ddl", copies=True),
    "view_stmt": _row("CREATE VIEW", "ddl", copies=True),
    "rule_stmt": _row("CREATE RULE", "ddl", opaque=True),
    "create_schema_stmt": _row("CREATE SCHEMA", "ddl"),
    # the session
    "variable_set_stmt": _row("", ""),
    "variable_show_stmt": _row("SHOW", "read"),
    "transaction_stmt": _row("", "transaction"),
    "constraints_set_stmt": _row("SET CONSTRAINTS", "transaction"),
    "listen_stmt": _row("LISTEN", "listen"),
    "unlisten_stmt": _row("UNLISTEN", "listen"),
    "notify_stmt": _row("NOTIFY", "listen"),
    "lock_stmt": _row("LOCK TABLE", "lock", touches="lock"),
    # data
    "copy_stmt": _row("COPY", ""),
    "truncate_stmt": _row("TRUNCATE TABLE", "truncate", touches="truncate"),
    "call_stmt": _row("CALL", "call", opaque=True),
    "do_stmt": _row("DO", "read"),
    "refresh_mat_view_stmt": _row(
        "REFRESH MATERIALIZED VIEW", "maintenance", touches="maintenance", opaque=True, copies=True
    ),
    "vacuum_stmt": _row("VACUUM", "maintenance", touches="maintenance"),
    "cluster_stmt": _row("CLUSTER", "maintenance", touches="maintenance"),
    "reindex_stmt": _row("REINDEX", "maintenance", touches="maintenance"),
    "check_point_stmt": _row("CHECKPOINT", "maintenance"),
    # A library may hold any code; ALTER SYSTEM may name programs that the server starts.
    "load_stmt": _row("LOAD", "maintenance server_file call", opaque=True),
    "alter_system_stmt": _row("ALTER SYSTEM", "maintenance server_file program set", opaque=True),
    # who may do what
    "grant_stmt": _row("GRANT", "grant", touches="grant"),
    "grant_role_stmt": _row("GRANT ROLE", "grant", opaque=True),
    "alter_default_privileges_stmt": _row("ALTER DEFAULT PRIVILEGES", "grant", opaque=True),
    "create_role_stmt": _row("CREATE ROLE", "grant", opaque=True),
    "alter_role_stmt": _row("ALTER ROLE", "grant", opaque=True),
    "alter_role_set_stmt": _row("ALTER ROLE", "grant set"),
    "drop_role_stmt": _row("DROP ROLE", "grant", opaque=True),
    "reassign_owned_stmt": _row("REASSIGN OWNED", "grant ddl", opaque=True),
    "drop_owned_stmt": _row("DROP OWNED", "grant ddl", opaque=True),
    "alter_owner_stmt": _row("ALTER OWNER", "grant ddl", touches="ddl"),
    "create_policy_stmt": _ddl("CREATE POLICY", "grant"),
    "alter_policy_stmt": _ddl("ALTER POLICY", "grant"),
    # relations and what hangs on them
    "create_stmt": _row("CREATE TABLE", "ddl", touches="ddl"),
    "create_foreign_table_stmt": _ddl("CREATE FOREIGN TABLE", opaque=True),
    "alter_table_stmt": _row("", "ddl", touches="ddl", copies=True),
    "alter_table_move_all_stmt": _ddl("ALTER TABLE ALL", opaque=True),
    "rename_stmt": _row("", "ddl", touches="ddl", copies=True),
    "alter_object_schema_stmt": _ddl("ALTER SCHEMA OF", copies=True),
    "alter_object_depends_stmt": _ddl("ALTER DEPENDS ON"),
    "drop_stmt": _row("", "ddl", touches="ddl"),
    "comment_stmt": _row("COMMENT", "ddl", touches="ddl"),
    "sec_label_stmt": _row("SECURITY LABEL", "ddl grant", touches="ddl"),
    "index_stmt": _ddl("CREATE INDEX"),
    "create_stats_stmt": _ddl("CREATE STATISTICS"),
    "alter_stats_stmt": _ddl("ALTER STATISTICS"),
    "create_seq_stmt": _ddl("CREATE SEQUENCE"),
    "alter_seq_stmt": _ddl("ALTER SEQUENCE"),
    "create_trig_stmt": _ddl("CREATE TRIGGER", opaque=True),
    "composite_type_stmt": _ddl("CREATE TYPE"),
    # code and types
    "create_function_stmt": _row("CREATE FUNCTION", "ddl", opaque=True),
    "alter_function_stmt": _row("ALTER FUNCTION", "ddl", opaque=True),
    "define_stmt": _row("CREATE", "ddl", opaque=True),
    "create_domain_stmt": _ddl("CREATE DOMAIN", opaque=True),
    "alter_domain_stmt": _ddl("ALTER DOMAIN", opaque=True),
    "create_enum_stmt": _row("CREATE TYPE", "ddl"),
    "alter_enum_stmt": _row("ALTER TYPE", "ddl"),
    "create_range_stmt": _row("CREATE TYPE", "ddl", opaque=True),
    "alter_type_stmt": _row("ALTER TYPE", "ddl", opaque=True),
    "create_op_class_stmt": _row("CREATE OPERATOR CLASS", "ddl", opaque=True),
    "create_op_family_stmt": _row("CREATE OPERATOR FAMILY", "ddl", opaque=True),
    "alter_op_family_stmt": _row("ALTER OPERATOR FAMILY", "ddl", opaque=True),
    "alter_operator_stmt": _row("ALTER OPERATOR", "ddl", opaque=True),
    "create_cast_stmt": _row("CREATE CAST", "ddl", opaque=True),
    "create_conversion_stmt": _row("CREATE CONVERSION", "ddl", opaque=True),
    "create_transform_stmt": _row("CREATE TRANSFORM", "ddl", opaque=True),
    "alter_collation_stmt": _row("ALTER COLLATION", "ddl"),
    "create_plang_stmt": _row("CREATE LANGUAGE", "ddl call", opaque=True),
    "create_event_trig_stmt": _row("CREATE EVENT TRIGGER", "ddl", opaque=True),
    "alter_event_trig_stmt": _row("ALTER EVENT TRIGGER", "ddl", opaque=True),
    "create_am_stmt": _row("CREATE ACCESS METHOD", "ddl", opaque=True),
    "alter_tsdictionary_stmt": _row("ALTER TEXT SEARCH DICTIONARY", "ddl", opaque=True),
    "alter_tsconfiguration_stmt": _row("ALTER TEXT SEARCH CONFIGURATION", "ddl", opaque=True),
    # an extension runs scripts as it comes
    "create_extension_stmt": _row("CREATE EXTENSION", "ddl call", opaque=True),
    "alter_extension_stmt": _row("ALTER EXTENSION", "ddl call", opaque=True),
    "alter_extension_contents_stmt": _row("ALTER EXTENSION", "ddl", opaque=True),
    # databases, and other places
    "createdb_stmt": _row("CREATE DATABASE", "ddl", opaque=True),
    "alter_database_stmt": _row("ALTER DATABASE", "ddl", opaque=True),
    "alter_database_refresh_coll_stmt": _row("ALTER DATABASE", "ddl"),
    "alter_database_set_stmt": _row("ALTER DATABASE", "ddl set"),
    "dropdb_stmt": _row("DROP DATABASE", "ddl", opaque=True),
    "create_table_space_stmt": _row("CREATE TABLESPACE", "ddl server_file"),
    "drop_table_space_stmt": _row("DROP TABLESPACE", "ddl server_file"),
    "alter_table_space_options_stmt": _row("ALTER TABLESPACE", "ddl"),
    "create_fdw_stmt": _row("CREATE FOREIGN DATA WRAPPER", "ddl", opaque=True),
    "alter_fdw_stmt": _row("ALTER FOREIGN DATA WRAPPER", "ddl", opaque=True),
    "create_foreign_server_stmt": _row("CREATE SERVER", "ddl", opaque=True),
    "alter_foreign_server_stmt": _row("ALTER SERVER", "ddl", opaque=True),
    "create_user_mapping_stmt": _row("CREATE USER MAPPING", "ddl grant", opaque=True),
    "alter_user_mapping_stmt": _row("ALTER USER MAPPING", "ddl grant", opaque=True),
    "drop_user_mapping_stmt": _row("DROP USER MAPPING", "ddl grant", opaque=True),
    "import_foreign_schema_stmt": _row("IMPORT FOREIGN SCHEMA", "ddl", opaque=True),
    "create_publication_stmt": _ddl("CREATE PUBLICATION", opaque=True),
    "alter_publication_stmt": _ddl("ALTER PUBLICATION", opaque=True),
    "create_subscription_stmt": _row("CREATE SUBSCRIPTION", "ddl call", opaque=True),
    "alter_subscription_stmt": _row("ALTER SUBSCRIPTION", "ddl call", opaque=True),
    "drop_subscription_stmt": _row("DROP SUBSCRIPTION", "ddl call", opaque=True),
}
