"""``set_config(name, …) FROM pg_settings WHERE name = …``: how pg_dump sets what may not exist."""

from __future__ import annotations

import pytest

from hoopcore.sql.postgres import read
from hoopcore.statement import Effect

KNOWN = "select set_config(name, 'off', false) from pg_settings where name = 'row_security'"


def test_the_setting_that_the_one_row_names_is_set() -> None:
    (statement,) = read(KNOWN.encode()).statements
    assert statement.settings == (("row_security", "off"),)
    assert statement.effects == {Effect.READ, Effect.SET}
    assert not statement.opaque
    assert not statement.copies


def test_a_role_set_in_this_way_is_a_role() -> None:
    (statement,) = read(KNOWN.replace("row_security", "role").encode()).statements
    assert Effect.ROLE in statement.effects


@pytest.mark.parametrize(
    "text",
    [
        KNOWN.replace("where", "where not"),
        KNOWN + " or true",
        KNOWN.replace("= 'row", "<> 'row"),
        KNOWN.replace("= 'row", "operator(public.=) 'row"),
        KNOWN.replace("name =", "setting ="),
        KNOWN.replace("config(name", "config(setting"),
        KNOWN.replace("pg_settings", "pg_settings, people"),
        KNOWN.replace("pg_settings", "people"),
        KNOWN.replace("'off'", "setting"),
        KNOWN.replace("set_config(name, 'off', false)", "(select set_config(name, 'off', false))"),
        "select set_config(name, 'off', false) from pg_settings",
    ],
)
def test_anything_else_is_a_setting_nobody_knows(text: str) -> None:
    (statement,) = read(text.encode()).statements
    assert statement.settings == ()
    assert Effect.CALL in statement.effects
    assert statement.copies
