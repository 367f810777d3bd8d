"""How a masked value is written where stars would not do: hashes, years, rounded numbers, arrays.

A form belongs to one column of one result: its style, its type and its format.  ``one`` gives the
masked value of a value, or None where there is none of that type: the cell becomes NULL.
``at_once`` does the same for a column in place, and gives back which values are to be NULL; it is
None where nothing is gained by it.  Both give the same.

First which form fits a column; then hashes; the others are in ``form_years.py``,
``form_numbers.py`` and ``form_arrays.py``.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple, TypeAlias

from hoopcore import form_arrays
from hoopcore.form_numbers import NUMBERS
from hoopcore.form_years import YEARS
from hoopcore.styles import Octets, Offsets, Style
from hoopcore.watches import Typed, Watch, is_text

One: TypeAlias = Callable[[bytes], bytes | None]
AtOnce: TypeAlias = Callable[[Octets, Offsets, Offsets], Offsets]


class Form(NamedTuple):
    """Writes the masked values of a column."""

    one: One
    at_once: AtOnce | None = None


_NONE: Mapping[int, Form] = {}
_MEMBERWISE = frozenset({Style.FULL, Style.KEEP_LAST_4, Style.KEEP_DOMAIN})


def fitting(style: Style, column: Typed, texts: frozenset[int]) -> Style:
    """The style, where a value of this column's type can be shown in it; else NULL."""
    if style is Style.NULL or _form(style, column.type, column.format) is not None:
        return style
    plain = style not in (Style.YEAR_ONLY, Style.ROUND)
    return style if plain and is_text(column.type, texts) else Style.NULL


def forms_of(
    cells: Sequence[Style | Watch | None],
    columns: Sequence[Typed],
    *,
    utf8: bool,
    key: bytes,
) -> Mapping[int, Form]:
    """The forms of those columns that need one, by their place.

    A hash without a key has none, and what needs a form and has none becomes NULL.
    """
    forms: dict[int, Form] = {}
    for place, (cell, column) in enumerate(zip(cells, columns, strict=True)):
        if not isinstance(cell, Style):
            continue
        if cell is Style.HASH:
            if key:
                forms[place] = _hash(key, utf8, column.type == _BPCHAR)
            continue
        form = _form(cell, column.type, column.format, utf8)
        if form is not None:
            forms[place] = form
    return forms or _NONE


@lru_cache(256)
def _form(style: Style, type_oid: int, format_: int, utf8: bool = False) -> Form | None:
    if style is Style.YEAR_ONLY:
        found = YEARS.get((type_oid, format_))
        return found and Form(*found)
    if style is Style.ROUND:
        found = NUMBERS.get((type_oid, format_))
        return found and Form(*found)
    if style in _MEMBERWISE and type_oid in form_arrays.TEXT_ARRAYS:
        return Form(
            partial(form_arrays.binary if format_ else form_arrays.text, style=style, utf8=utf8)
        )
    return None


# --- hashes ---------------------------------------------------------------------------------------

_BPCHAR = 1042
HASH_SIZE = 24
"""Characters of a hash: 96 bits, so that two of a billion values hardly ever share one."""


def hashed(key: bytes, value: bytes) -> bytes:
    """What stands for this value wherever it is shown hashed: HMAC-SHA-256, cut, in hex."""
    return hmac.digest(key, value, "sha256")[: HASH_SIZE // 2].hex().encode()


@lru_cache(64)
def _hash(key: bytes, utf8: bool, padded: bool) -> Form:
    def one(value: bytes) -> bytes | None:
        if not utf8 and not value.isascii():
            return None  # in another encoding it would have another hash
        return hashed(key, value.rstrip(b" ") if padded else value)

    return Form(one)
