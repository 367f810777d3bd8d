"""How the rows of a COPY TO STDOUT are written, from the statement's own options.

Only what every version of PostgreSQL reads in the same way is read here.  An option that is not
known, or comes twice, makes the form None: nobody knows where a field of that copy ends.
"""

from __future__ import annotations

from collections.abc import Iterable

from hoopcore.sql.encodings import encoding_is_safe
from hoopcore.sql.grammar import Node, kind_of
from hoopcore.statement import CopyForm, CopyOut, Relation

_YES, _NO = frozenset({"true", "on", "1"}), frozenset({"false", "off", "0"})
# They say nothing about where a field ends: what is quoted is seen by its quote.
_BESIDE = frozenset({"force_quote"})
_READ = frozenset({"format", "header", "delimiter", "null", "quote", "escape", "encoding"})
# What the text format may write behind a backslash, or as a value: no delimiter (copyfrom.c).
_NO_DELIMITER = frozenset("\\.abcdefghijklmnopqrstuvwxyz0123456789\r\n")


def copy_out_of(statement: Node) -> CopyOut:
    """What a COPY … TO STDOUT gives, and in which form."""
    relation = None
    if not statement.HasField("query"):
        relation = Relation(statement.relation.schemaname, statement.relation.relname)
    names = tuple(name.string.sval for name in statement.attlist)
    return CopyOut(relation, names, _form(statement.options))


def _form(options: Iterable[Node]) -> CopyForm | None:
    given: dict[str, str] = {}
    for node in options:
        option = node.def_elem
        if option.defname in _BESIDE:
            continue
        value = _word(option)
        if option.defname not in _READ or option.defname in given or value is None:
            return None
        given[option.defname] = value
    form = given.get("format", "text")
    header = given.get("header", "false").lower()
    if form not in ("text", "csv") or header not in _YES | _NO:
        return None
    csv = form == "csv"
    encoding = given.get("encoding", "")
    delimiter = given.get("delimiter", "," if csv else "\t")
    null = given.get("null", "" if csv else "\\N")
    quote = given.get("quote", '"' if csv else "")
    escape = given.get("escape", quote)
    if encoding and not encoding_is_safe(encoding):
        return None
    if not _fits(delimiter, null, quote, escape, csv=csv):
        return None
    return CopyForm(
        csv, delimiter.encode(), null.encode(), quote.encode(), escape.encode(),
        header in _YES, encoding,
    )  # fmt: skip


def _word(option: Node) -> str | None:
    """The value as a word; an option without one says yes."""
    if not option.HasField("arg"):
        return "true" if option.defname == "header" else None
    kind, value = kind_of(option.arg), option.arg
    if kind == "string":
        return str(value.string.sval)
    if kind == "boolean":
        return "true" if value.boolean.boolval else "false"
    return str(value.integer.ival) if kind == "integer" else None


def _fits(delimiter: str, null: str, quote: str, escape: str, *, csv: bool) -> bool:
    """Whether the server takes these together, and a row in that form can be read back."""
    if not (delimiter + null + quote + escape).isascii():
        return False  # their bytes hang on the encoding
    if any(sign in null for sign in ("\r", "\n", delimiter)) or len(delimiter) != 1:
        return False
    if not csv:
        return not quote and not escape and delimiter not in _NO_DELIMITER
    if len(quote) != 1 or len(escape) != 1 or quote in null or delimiter == quote:
        return False
    return not {delimiter, quote, escape} & {"\r", "\n"} and escape != delimiter
