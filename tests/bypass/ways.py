"""Every way a statement is known to escape policy, and where it is shown to be closed.

One row a way, in the words of the list the product was designed against; its tests, as
``file::test`` or ``file::test[part of an id]``; and what is honestly left open.  The reference
``docs/reference/escapes.md`` is this table for people; tests hold both together.
"""

from __future__ import annotations

from typing import NamedTuple

LISTED = "bypass/test_escapes_listed.py::test_a_listed_way_is_closed_in_both_protocols"
TEXTS = "bypass/test_escapes_policy.py::test_a_forbidden_statement_is_refused_however_it_is_dressed"
CODE = "bypass/test_escapes_policy.py::test_unknown_code_is_refused_wherever_it_stands"


class Way(NamedTuple):
    name: str
    answer: str
    tests: tuple[str, ...]
    open: str = ""


WAYS: tuple[Way, ...] = (
    # the text
    Way("comments", "read by PostgreSQL's own grammar", (f"{LISTED}[comments", TEXTS)),
    Way("nested comments", "the same", (f"{LISTED}[nested comments", TEXTS)),
    Way("quotes", "the same", (f"{LISTED}[quotes", TEXTS)),
    Way("`E''`", "the same", (f"{LISTED}[escape strings", TEXTS)),
    Way("dollar quotes", "the same", (f"{LISTED}[dollar quotes", TEXTS)),
    Way(
        "`standard_conforming_strings`",
        "a text with a backslash is refused while it is off or not known",
        (
            "bypass/test_escapes_listed.py::test_strings_that_are_not_standard_hide_nothing",
            "bypass/test_traps.py::test_a_pipelined_setting_does_not_hide_a_delete",
        ),
    ),
    Way("Unicode escapes", "read by the grammar", (f"{LISTED}[Unicode escapes", TEXTS)),
    # the statement
    Way(
        "several statements in one Query",
        "a verdict each; one refused refuses the message",
        (f"{LISTED}[several statements",),
    ),
    Way(
        "Parse once, Execute many",
        "judged at Parse, and again at each Bind",
        (
            "bypass/test_escapes_policy.py"
            "::test_a_statement_that_is_parsed_once_was_judged_for_all_its_runs",
            "bypass/test_escapes_listed.py::test_prepared_once_and_run_often_is_refused_always",
        ),
    ),
    Way(
        "`EXECUTE` of a prepared text",
        "what PREPARE prepares counts as done",
        (f"{LISTED}[EXECUTE of a prepared text",),
    ),
    Way("CTE writes", "seen through", (f"{LISTED}[CTE writes",)),
    Way(
        "`SELECT` of a function that writes",
        "`call`, whatever it is declared",
        (f"{LISTED}[SELECT of a function that writes", CODE),
        "what the function does is not seen: refuse or hold `call` where that matters",
    ),
    Way(
        "`DO`",
        "PL/pgSQL is seen through; what it runs by EXECUTE, and other languages, are unknown",
        (f"{LISTED}[DO", f"{LISTED}[DO with EXECUTE"),
    ),
    Way("`COPY … PROGRAM`", "effect `program`", (f"{LISTED}[COPY PROGRAM",)),
    Way("server files", "effect `server_file`", (f"{LISTED}[server files",)),
    Way("large objects", "`call`", (f"{LISTED}[large objects",)),
    Way(
        "fast-path FunctionCall",
        "refused always",
        ("bypass/test_escapes_policy.py::test_a_function_call_by_number_is_refused",),
    ),
    Way(
        "`SET ROLE`",
        "effect `role`; refused where the grant says the role",
        (
            "bypass/test_roles.py::test_no_statement_takes_the_role_away",
            "bypass/test_roles.py::test_no_prepared_statement_takes_the_role_away",
            "bypass/test_escapes_policy.py"
            "::test_another_role_is_another_role_and_no_way_past_a_mask",
        ),
        "without a role in the grant and without a rule it is allowed, and recorded",
    ),
    Way(
        "`SET SESSION AUTHORIZATION`",
        "the same",
        (
            "bypass/test_roles.py::test_no_statement_takes_the_role_away",
            "bypass/test_roles.py::test_no_prepared_statement_takes_the_role_away",
        ),
    ),
    Way(
        "`search_path` shadowing",
        "one that puts anything before pg_catalog is refused",
        (
            f"{LISTED}[search_path shadowing",
            "bypass/test_escapes_policy.py"
            "::test_shadowing_by_search_path_makes_no_function_harmless",
        ),
    ),
    # the start and the wire
    Way(
        "replication mode",
        "refused",
        ("bypass/test_escapes_policy.py::test_a_startup_packet_gets_nobody_further",),
    ),
    Way(
        "`options=-c` in the startup packet",
        "only known harmless settings",
        (
            "bypass/test_escapes_policy.py::test_a_startup_packet_gets_nobody_further",
            "bypass/test_roles.py::test_no_startup_option_changes_it",
        ),
    ),
    Way(
        "protocol 3.2 and long cancel keys",
        "spoken on both sides",
        ("bypass/test_escapes_policy.py::test_no_version_of_the_protocol_is_a_way_around",),
    ),
    Way(
        "CancelRequest with someone else's key",
        "the target's keys are never told",
        (
            "bypass/test_escapes_policy.py"
            "::test_a_cancel_wants_the_right_secret_and_the_targets_own_is_never_told",
            "bypass/test_doors.py::test_a_cancel_counts_only_with_the_key_and_from_its_own_side",
        ),
    ),
    Way(
        "GSSENCRequest",
        "declined",
        (
            "bypass/test_escapes_policy.py"
            "::test_a_request_for_encryption_sent_with_more_is_no_way_around",
        ),
    ),
    Way(
        "bytes before TLS",
        "never taken for what came under TLS",
        (
            "wire/test_login_client_tls.py"
            "::test_bytes_in_clear_behind_the_request_are_never_taken_as_tls",
        ),
    ),
    Way(
        "SSLRequest sent together with more",
        "what follows is judged as what it is",
        (
            "bypass/test_escapes_policy.py"
            "::test_a_request_for_encryption_sent_with_more_is_no_way_around",
            "bypass/test_doors.py::test_encryption_is_declined_and_what_came_along_is_a_login_in_clear",
        ),
    ),
    Way(
        "negative, short or huge lengths",
        "the connection ends",
        (
            "bypass/test_fail_closed.py::test_a_message_that_is_none_ends_the_connection_and_is_recorded",
            "bypass/test_escapes_policy.py::test_a_first_packet_that_is_none_gets_no_session",
        ),
    ),
    Way(
        "messages after Terminate",
        "nothing is done",
        ("bypass/test_escapes_policy.py::test_nothing_is_done_behind_a_terminate",),
    ),
    Way(
        "pipelines without Sync",
        "judged message by message",
        (
            "bypass/test_escapes_policy.py"
            "::test_a_pipeline_without_sync_is_judged_message_by_message",
        ),
    ),
    # what a text means
    Way(
        "`client_encoding` whose trail bytes are ASCII (SJIS, BIG5, GBK, GB18030, UHC, JOHAB)",
        "refused at login and at SET",
        (
            "bypass/test_traps.py::test_sjis_trail_bytes_hide_no_delete",
            "bypass/test_fail_closed.py::test_an_unsafe_client_encoding_is_refused_at_login_and_at_set",
            "bypass/test_escapes_listed.py::test_an_unsafe_encoding_is_refused_in_both_protocols",
        ),
    ),
    Way(
        "`SET` of a parse-relevant setting pipelined in front",
        "what follows waits until the target is ready",
        (
            "bypass/test_traps.py::test_a_pipelined_setting_does_not_hide_a_delete",
            "bypass/test_traps.py"
            "::test_a_pipelined_setting_does_not_hide_a_delete_in_the_extended_protocol",
        ),
    ),
    Way(
        "`SELECT set_config(…)`",
        "is a SET",
        (
            f"{LISTED}[set_config",
            "bypass/test_traps.py::test_a_pipelined_setting_does_not_hide_a_delete",
        ),
    ),
    Way(
        "a STABLE or IMMUTABLE function that calls a VOLATILE one",
        "`call`, whatever it is declared",
        (
            f"{LISTED}[STABLE calls VOLATILE",
            "bypass/test_traps.py::test_a_stable_wrapper_of_a_volatile_function_is_a_call",
        ),
    ),
    Way(
        "code run at Bind",
        "judged at Parse and at Bind, before either goes on",
        ("bypass/test_traps.py::test_an_immutable_function_that_runs_at_bind_is_judged_at_parse",),
    ),
    Way(
        "SQL PREPARE under a protocol statement's name",
        "what a name stands for is told anew",
        (
            "bypass/test_traps.py::test_a_statement_that_sql_has_replaced_shows_no_clear_value",
            "bypass/test_escapes_listed.py::test_a_name_that_sql_prepares_runs_nothing_forbidden",
        ),
    ),
    Way(
        "a text that kills or stalls the parser (300 KB of `||`, `::`, `(`, NOT; 1,000-way AND/OR)",
        "a process that may die reads it, for two seconds at most",
        (
            "bypass/test_traps.py"
            "::test_a_text_that_kills_or_defeats_the_parser_is_refused_and_the_session_goes_on",
            "bypass/test_escapes_listed.py"
            "::test_a_text_that_kills_or_stalls_the_parser_is_refused_in_both_protocols",
            "bypass/test_traps.py::test_a_long_insert_is_refused_and_stalls_no_other_session",
        ),
    ),
    Way(
        "DISCARD ALL undoing an imposed setting",
        "imposed settings are the startup packet's, which it goes back to",
        (
            "wire/test_policy_imposed.py::test_nothing_that_passes_leaves_a_weaker_setting",
            "bypass/test_escapes_policy.py::test_discard_all_undoes_nothing_that_hoop_relies_on",
        ),
    ),
    Way(
        "a pooler in front of the target (another client's SET or temporary table in our session)",
        'with `pooler = "transaction"` what would stay is refused, and masks trust no bare name',
        (
            "e2e/test_postgres_pooler.py"
            "::test_what_would_stay_with_the_servers_connection_is_refused_by_name",
            "e2e/test_postgres_pooler.py::test_another_clients_temporary_table_shows_nothing",
        ),
        "a pooler nobody has told hoop of",
    ),
    Way(
        "an agent's port squatted while it is down",
        "a squatter hears no password and no statement",
        ("bypass/test_doors.py::test_a_squatter_on_the_port_hears_no_password_and_no_statement",),
    ),
    # ways that the list does not have
    Way(
        "a view or rule over what is forbidden",
        "seen through by the catalog",
        (
            f"{LISTED}[a rule that deletes",
            f"{LISTED}[a view that calls",
            "bypass/test_escapes_behind.py::test_a_rule_sees_what_stands_behind_a_name",
        ),
        "triggers, foreign keys, CHECK constraints and row level security are not",
    ),
    Way(
        "a default, domain or operator with code of its own",
        "`call`",
        (f"{LISTED}[a default that calls", f"{LISTED}[a domain that calls"),
        "casts that nobody writes",
    ),
)

LATER: tuple[str, ...] = (
    "MySQL executable comments `/*!50000 … */`",
    "COM_CHANGE_USER",
    "LOCAL INFILE",
    "compression",
    "16 MiB split packets",
    "everything under SSH but forwarding: targets of that kind are not there yet",
)
"""Ways of the list that belong to protocols which hoop does not speak yet."""
