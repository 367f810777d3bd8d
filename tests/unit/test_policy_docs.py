"""docs/reference/rules.md says what rules.toml may have: every key, word and example, no other."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from hoopcore.model import Kind, Priority
from hoopcore.policy import BUDGET_KEYS, IMPOSE_KEYS, RESERVED, RULE_KEYS, STRENGTHS, Policy
from hoopcore.policy.budgets import ACTIONS
from hoopcore.policy.examples import KEYS
from hoopcore.policy.windows import Window
from tests.unit.test_docs import tables, text_of

PAGE = "docs/reference/rules.md"


def rows(heading: str) -> dict[str, list[str]]:
    (found,) = [rows for name, rows in tables(text_of(PAGE)) if name == heading]
    return {key.strip("`"): rest for key, *rest in found}


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("[[rule]]", RULE_KEYS),
        ("[[budget]]", BUDGET_KEYS),
        ("[[impose]]", IMPOSE_KEYS),
        ("Examples", KEYS),
    ],
)
def test_every_key_of_rules_toml_has_a_row_and_no_other_has(
    heading: str, keys: Iterable[str]
) -> None:
    assert list(rows(heading)) == list(keys)


def test_every_word_that_a_rule_may_have_is_told() -> None:
    rule = rows("[[rule]]")
    for key, words in (("verdict", STRENGTHS), ("kinds", Kind), ("priorities", Priority)):
        for word in words:
            assert f'`"{word}"`' in " ".join(rule[key])
    for word in ACTIONS:
        assert f'`"{word}"`' in rows("[[budget]]")["on_reaching"][0]
    for name in RESERVED:
        assert f"`{name}`" in rule["name"][2]


def test_every_refusal_of_hoop_s_own_stands_in_the_table_of_strength() -> None:
    (found,) = [rows for name, rows in tables(text_of(PAGE)) if name == "Strength"]
    told = {word for row in found for word in re.findall(r"`([\w-]+)`", row[2])}
    assert told >= RESERVED


def test_every_example_of_the_page_is_understood() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", text_of(PAGE), re.S)
    assert blocks
    for block in blocks:
        assert Policy.load(block).rules


def test_every_window_of_the_page_is_one() -> None:
    (found,) = re.findall(r"^`(\"[^`]*\")`: days, hours", text_of(PAGE), re.M)
    assert Window.parse(found.strip('"')).days == {0, 1, 2, 3, 4}
