"""The battery is complete, the docs say what is in it, and ordinary reports stay whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bypass.battery import LINES, TRIALS
from tests.bypass.battery_arena import arena
from tests.bypass.battery_docs import page
from tests.bypass.battery_reports import REPORTS
from tests.bypass.overmasking import measured, told

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "leaks.md"

# The ways a value escapes a mask, as they stand in the list the product was designed against, and
# the lines of the battery that try each.
LISTED = {
    "alias": ("alias",),
    "expression (upper, substr, ||, cast, reverse, encode, md5)": (
        *("expression: upper, lower, initcap", "expression: substr", "expression: ||"),
        *("expression: cast", "expression: reverse", "expression: encode", "expression: md5"),
        "expression: others",
    ),
    "select col, * shifting the mask": ("`select col, *` shifting the mask",),
    "CTE, subquery, UNION, LATERAL, UNNEST, set-returning functions": (
        *("CTE", "CTE, recursive", "subquery", "UNION", "LATERAL", "UNNEST"),
        "set-returning functions",
    ),
    "views (and views of views)": ("views", "views of views"),
    "whole-row references (t, t::text, row_to_json(t), to_jsonb)": (
        *("whole-row references: `t`", "whole-row references: `t::text`"),
        "whole-row references: `row_to_json(t)`, `to_jsonb`",
    ),
    "string_agg, array_agg, min/max": (
        *("aggregates: `string_agg`", "aggregates: `array_agg`", "aggregates: `min`/`max`"),
        "window functions",
    ),
    "RETURNING": ("RETURNING",),
    "COPY TO STDOUT in text and CSV": ("COPY TO STDOUT in text and CSV", "COPY BINARY"),
    "cursors and FETCH": ("cursors and FETCH",),
    "PREPARE/EXECUTE": ("PREPARE and EXECUTE",),
    "EXPLAIN ANALYZE": ("`EXPLAIN ANALYZE`",),
    "error text and DETAIL (cast(ssn as int), unique violations)": (
        *("error text: `cast(ssn as int)`", "error text: unique violations and constraints"),
    ),
    "NOTICE/RAISE": ("NOTICE and RAISE",),
    "DO and dynamic SQL": ("DO and dynamic SQL",),
    "temp table or SELECT INTO then read": (
        "temp table or `SELECT INTO`, then read",
        "made from masked columns: INSERT … SELECT, UPDATE",
    ),
    "LISTEN/NOTIFY payloads": ("LISTEN and NOTIFY payloads", "parameter status"),
    "functions defined by the client": (
        *("views and functions that the client defines", "functions that are opaque"),
        "DDL on relations with masked columns",
    ),
    "large objects": ("large objects", "server files, sequences, locks"),
    "pg_stat_activity": ("`pg_stat_activity`",),
    "pg_stats (histograms hold values!)": ("`pg_stats` and histograms",),
    "WHERE/ORDER BY inference": (
        "WHERE and ORDER BY inference",
        "rows that a masked value decides",
    ),
    "binary formats (int8 cards, numeric, jsonb, arrays, composites)": (
        *("binary formats", "arrays and documents inside cells", "every type"),
    ),
    "extended protocol with per-column formats; result re-described; values split over packets": (
        "several statements in one message",  # the rest is test_battery_wire.py's
    ),
    "names that cannot be resolved, settings, roles": (
        *("search_path, role and temporary tables", "a relation or text that cannot be resolved"),
    ),
}


def test_every_line_of_the_list_has_statements() -> None:
    assert {line for lines in LISTED.values() for line in lines} == set(LINES)
    for line in LINES:
        assert any(trial.line == line for trial in TRIALS), line
    assert len(TRIALS) >= 300
    assert len({trial.name for trial in TRIALS}) == len(TRIALS)


def test_the_docs_say_what_is_tried() -> None:
    assert DOCS.read_text() == page(), (
        "python -m tests.bypass.battery_docs > docs/reference/leaks.md"
    )


@pytest.mark.parametrize("major", [18, 15])
def test_ordinary_reports_lose_hardly_a_clean_column(major: int) -> None:
    assert len(REPORTS) >= 120
    with arena(major) as field:
        tally = measured(field)
    assert tally.clean > 300
    assert tally.rate < 0.02, told(tally)
