"""The bench: what it names, and the rows that come of the numbers.  Nothing is measured here."""

from __future__ import annotations

import json

import pytest

from bench.__main__ import main
from bench.measures import MEASURES
from bench.report import Row, as_json, as_table, rows_of, spread

TAKEN = {
    "direct": [10.0, 12.0, 11.0],
    "relay": [20.0, 20.0, 26.0],
    "local": [44.0, 33.0, 22.0],
    "ssh": [1234.4, 1234.4, 1234.4],
}


def test_a_row_has_medians_and_the_ratio_to_direct() -> None:
    assert rows_of("x", "µs", TAKEN) == [
        Row("x", "local", 11.0, 20.0, None, 33.0, 3.0, "µs"),
        Row("x", "ssh", 11.0, 20.0, None, 1234, 112.182, "µs"),
    ]


def test_what_is_not_there_is_null() -> None:
    (row,) = rows_of("x", "ms", {"local": [5.0]}, doors=False)
    assert row == Row("x", None, None, None, None, 5.0, None, "ms")
    assert rows_of("x", "ms", {"direct": [5.0]}) == []


def test_json_rows_have_the_keys_that_were_promised() -> None:
    (first, _) = json.loads(as_json(rows_of("x", "µs", TAKEN)))
    assert list(first) == ["name", "door", "direct", "relay", "pgbouncer", "hoop", "ratio", "unit"]


def test_the_table_tells_the_spread() -> None:
    table = as_table(rows_of("x", "µs", TAKEN), {("x", "local"): spread(TAKEN["local"])})
    assert "33 ±33%" in table
    assert "1,234" in table


def test_spread_of_too_few_numbers_is_not_told() -> None:
    assert spread([1.0, 2.0]) is None
    assert spread([0.0, 0.0, 0.0]) is None


def test_an_unknown_measure_is_named_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bulk_plane"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "bulk_plane" in said.err
    assert "bulk_plain" in said.err


def test_every_measure_of_the_issue_is_there() -> None:
    assert {measure.name for measure in MEASURES} >= {
        *("simple_c1_latency", "simple_c8_tps", "prepared_c1_latency", "prepared_c8_tps"),
        *("bulk_plain", "bulk_masked_column", "bulk_masked_null", "bulk_detect_1"),
        *("bulk_detect_20", "first_row_ms", "sessions_per_s", "idle_session_mib"),
        *("statement_cpu_us", "session_cpu_ms", "cli_version", "cli_help", "cli_complete"),
        "connect_to_first_row_ms",
    }
