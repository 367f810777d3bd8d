"""Values → what a person, a script or a pipe reads.  Pure: no clock, no terminal, no colour.

The values come from other people: reasons, names, error texts.  So every cell passes ``clean``
on its way to a terminal, and JSON escapes what a terminal might obey.

Order of the file: text, times, the three outputs.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from hoopcli import durations

# --- text ---------------------------------------------------------------------------------------

# Controls (C0, DEL, C1), line and paragraph separators, what turns the direction of writing,
# what cannot be seen, and lone surrogates: none may reach a terminal from a value.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def clean(value: object) -> str:
    """One line of text without anything a terminal would obey; escapes become visible."""
    return _UNSAFE.sub(_escaped, str(value))


_BREAKS = ".,:;/@+="  # a word too long is broken behind one of these; an id has none of them


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most ``width`` columns, broken at blanks where there are any."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *whole, line = _chopped(word, width)
        lines.extend(whole)
    return [kept.rstrip(" ") for kept in (*lines, line)]


def _chopped(word: str, width: int) -> list[str]:
    """The word in pieces of at most ``width`` columns, broken behind a mark where there is one."""
    pieces = [""]
    for character in word:
        if pieces[-1] and cells(pieces[-1]) + _cell(character) > max(width, 2):
            cut = max(map(pieces[-1].rfind, _BREAKS)) + 1 or len(pieces[-1])
            pieces[-1:] = [pieces[-1][:cut], pieces[-1][cut:]]
        pieces[-1] += character
    return pieces


# --- times --------------------------------------------------------------------------------------


def moment(text: str) -> datetime:
    """From RFC 3339.  ValueError where it is none."""
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def when(text: str | None, now: datetime) -> str:
    """``in 42 min``, ``now`` or ``3 min ago``; nothing for no time, and what is none as it is."""
    if not text:
        return ""
    try:
        seconds = (moment(text) - now).total_seconds()
    except ValueError:
        return clean(text)
    if abs(seconds) < 1:
        return "now"
    if seconds > 0:
        return f"in {span(seconds)}"
    return f"{span(-seconds)} ago"


def span(seconds: float) -> str:
    """About how long: ``40 s``, ``42 min``, ``1 h 20 min``, ``11 h``, ``3 days``.

    Never rounded up, so that "1 h left" is not said of less than an hour.
    """
    whole = int(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 10 and rest:
        return f"{hours} h {rest} min"
    if hours < 48:
        return f"{hours} h"
    return f"{hours // 24} days"


def spell(seconds: Any) -> str:
    """A duration of the API as people write it: ``1h30m``."""
    return durations.show(int(seconds)) if isinstance(seconds, int | float) else ""


# --- the three outputs --------------------------------------------------------------------------


class Output(StrEnum):
    """What ``-o`` may say."""

    TABLE = "table"
    JSON = "json"
    NAMES = "names"


_GAP = "  "
_NARROWEST = 8
_LEAST_ROOM = 24  # columns in which a sentence can be read
_LONGEST_WORD = 18  # an id has 14


def table(rows: Iterable[Sequence[object]], heads: Sequence[str], width: int = 80) -> str:
    """The rows under their heads, no line wider than ``width`` while that is possible.

    Where they are too wide, the widest columns are wrapped and nothing is left out; a long last
    column that has too little room beside the others goes under them.  Columns that are empty in
    every row are not shown.
    """
    body = [[clean(cell) for cell in row] for row in rows]
    used = [any(row[i] for row in body) for i in range(len(heads))]
    lines = [_kept(heads, used), *(_kept(row, used) for row in body)]
    if _is_crowded(lines, width):
        tails = [line.pop() for line in lines]
        widths = _fitted(lines, width)
        return "\n".join(
            text
            for line, tail in zip(lines, tails, strict=True)
            for text in (*_laid_out(line, widths), *_indented(tail, width))
        )
    widths = _fitted(lines, width)
    return "\n".join(text for line in lines for text in _laid_out(line, widths))


def _kept(line: Sequence[str], used: Sequence[bool]) -> list[str]:
    return [cell for cell, is_used in zip(line, used, strict=True) if is_used]


def _fitted(lines: Sequence[Sequence[str]], width: int) -> list[int]:
    """A width for each column: its own, or less for the widest until the line fits."""
    columns = list(zip(*lines, strict=True))
    widths = [max(map(cells, column)) for column in columns]
    words = [max(cells(word) for cell in column for word in cell.split(" ")) for column in columns]
    for least in _leasts(widths, words):
        while sum(widths) + len(_GAP) * (len(widths) - 1) > width:
            loose = [i for i, wide in enumerate(widths) if wide > least[i]]
            if not loose:
                break
            widths[max(loose, key=widths.__getitem__)] -= 1
    return widths


def _is_crowded(lines: Sequence[Sequence[str]], width: int) -> bool:
    """Whether the last column is a long text with hardly any room beside the others."""
    wides = [max(map(cells, column)) for column in zip(*lines, strict=True)]
    room = width - sum(wides[:-1]) - len(_GAP) * (len(wides) - 1)
    return len(wides) > 1 and room < _LEAST_ROOM < wides[-1]


def _indented(text: str, width: int) -> Iterator[str]:
    for line in wrap(text, max(width - 4, _NARROWEST)) if text else ():
        yield f"    {line}"


def _leasts(widths: Sequence[int], words: Sequence[int]) -> Iterator[list[int]]:
    """How narrow each column may become, given its own width and its longest word.

    Long texts give way first; then short ones a little, and words too long for an id; then all to
    their words.  An id is broken only when there is no other way: it must be copied in one piece.
    """
    pairs = list(zip(widths, words, strict=True))
    yield [max(word, min(wide, 14)) for wide, word in pairs]  # the width of "in 1 h 20 min"
    yield [12 if word > _LONGEST_WORD else max(word, min(wide, 10)) for wide, word in pairs]
    yield list(words)
    yield [_NARROWEST] * len(widths)


def _laid_out(line: Sequence[str], widths: Sequence[int]) -> Iterable[str]:
    wrapped = [wrap(cell, width) for cell, width in zip(line, widths, strict=True)]
    for i in range(max(map(len, wrapped), default=0)):
        parts = [column[i] if i < len(column) else "" for column in wrapped]
        padded = (
            part + " " * (width - cells(part)) for part, width in zip(parts, widths, strict=True)
        )
        yield _GAP.join(padded).rstrip(" ")


def card(pairs: Iterable[tuple[str, object]], width: int = 80) -> str:
    """One thing, a line for each thing known about it; what is not known is left out."""
    known = [(name, clean(value)) for name, value in pairs if value not in ("", None)]
    indent = max((cells(name) for name, _ in known), default=0) + len(_GAP)
    lines: list[str] = []
    for name, value in known:
        first, *more = wrap(value, max(width - indent, _NARROWEST))
        lines.append(f"{name:<{indent}}{first}")
        lines.extend(" " * indent + text for text in more)
    return "\n".join(lines)


def as_json(value: Any) -> str:
    """The value as the agent gave it, with all that a terminal might obey as ``\\uXXXX``."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return re.sub(r"(?!\n)" + _UNSAFE.pattern, lambda m: json.dumps(m.group())[1:-1], text)


def names(values: Iterable[object]) -> str:
    """One name a line, for ``xargs``."""
    return "\n".join(clean(value) for value in values)


def listed(
    output: Output,
    values: Sequence[Any],
    *,
    heads: Sequence[str],
    row: Callable[[Any], Sequence[object]],
    name: Callable[[Any], object],
    width: int = 80,
) -> str:
    """Many values in the output asked for; an empty text for a table or names of nothing."""
    if output is Output.JSON:
        return as_json(list(values))
    if output is Output.NAMES:
        return names(map(name, values))
    return table(map(row, values), heads, width) if values else ""
