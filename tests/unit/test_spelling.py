"""Names as SQL and masks.toml take them."""

from __future__ import annotations

import pytest

from hoopcore.masks_file import read_masks
from hoopcore.sql.spelling import spelled


@pytest.mark.parametrize(
    ("parts", "written"),
    [
        (("public", "customers", "ssn"), "public.customers.ssn"),
        (("public", "Orders", "a.b"), 'public."Orders"."a.b"'),
        (("s", 'quo"te', "*"), 's."quo""te"."*"'),
        (("s", "1st", ""), 's."1st".""'),
    ],
)
def test_a_name_that_is_not_plain_stands_in_quotes(parts: tuple[str, ...], written: str) -> None:
    assert spelled(*parts) == written


@pytest.mark.parametrize("name", ["plain", "Mixed", 'q"', "a.b", "*", "?", "naïve", " "])
def test_masks_toml_takes_it_for_that_name_and_no_other(name: str) -> None:
    column = spelled("s", "t", name).replace("\\", "\\\\").replace('"', '\\"')
    ((mask,), *_) = read_masks(f'[[mask]]\ncolumn = "{column}"\nstyle = "full"\n')
    assert mask.name.fullmatch(name)
    assert not mask.name.fullmatch(f"{name}x")
