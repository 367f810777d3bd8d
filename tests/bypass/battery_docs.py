"""``docs/reference/leaks.md``, from the battery: ``python -m tests.bypass.battery_docs`` prints it."""

from __future__ import annotations

from collections import Counter

from tests.bypass.battery import LINES, OPEN, TRIALS
from tests.bypass.battery_reports import REPORTS
from tests.bypass.canaries import NEEDLES

# ruff: noqa: E501 - the lines of a page

_HEAD = """# How values escape a mask, and what becomes of it

Every way we know of, and what was tried of it. The statements are asked of a schema with a masked and a clean column of every built-in
type, arrays, composites, domains, enums, ranges, documents, views of views and partitions (`tests/bypass/battery_schema.py`). Each is run
against PostgreSQL 18 and 15 in simple form and in extended form with text and with binary results, and through psql, psycopg (text and
binary) and asyncpg as far as each can. Looked through is every byte that reaches the client, and the recording: for the masked
values, any six characters of them, and forms that can be undone or recomputed ({needles:,} byte strings: upper and lower case, reversed,
rot13, hex, octal, bits, base64, hashes without a key, numbers and dates in their binary and other written forms).

Besides, each runs before two fillings of the masked columns. What is alike in nothing but which cells are NULL must read the same to
the byte behind masks of the style `null`. That needs no list of forms: it finds `length(ssn)` and `ssn < 'm'` too.

Every statement shows a masked value *without* hoop, but for those counted in the last columns. What hoop does in each case (masked, NULL,
refused) is in [what is masked](masking.md); ways a *statement* escapes policy are in [escapes](escapes.md).

*Asks*: what only the two fillings can tell, such as a length. *Clean*: nothing of a value is in it, and it comes through.
*Infers*: rows are chosen, ordered or counted by a masked value, or fail by it: published as open below, only looked through for values.

| way | statements | asks | clean | infers | came out |
|---|---|---|---|---|---|
"""
_TAIL = """
Ways that are a use of the protocol and no statement are in `tests/bypass/test_battery_wire.py`: formats by column, portals that are
suspended or described late, statements described as one thing and run as another, cursors of SQL run by the protocol and the other way
round, values split over packets. Masks of COPY have `tests/bypass/test_copy_masks.py`.

Statements nobody wrote: `HOOP_LONG=1 pytest -s tests/bypass/test_battery_generated.py` makes 20,000 on each major, of joins, WITH
(recursive too), sub-selects, LATERAL, set operations, aggregates, windows, functions, views, whole rows and RETURNING, and puts the same
questions to them; CI makes 200.

## What is lost without need

`python -m tests.bypass.overmasking` runs {reports} ordinary reports over the same schema, and counts the columns which carry nothing of a masked
value (they read alike before both fillings) and yet come out NULL, starred or refused. CI holds the rate under 2 %.

## Open

{open}
Kept complete by `tests/bypass/test_battery_docs.py`; made by `python -m tests.bypass.battery_docs > docs/reference/leaks.md`.
"""
_MARKS = """- **Marks of one's own in a column of masked values** ({count} of the statements above): a masked column and a generator made one column by
  UNION ALL, or a distance computed from both, then grouped, ordered, joined or compared: `select g from (select g, abs(g - (select card …)) as r
  from generate_series(…) g) x where r = 0` gives the card. So does a correlated count in a WHERE. The rule `mask-tells` refuses the plain forms,
  and does not see these yet.
"""
_OPEN = """{marks}- **Inference.** Rows may be chosen, ordered, grouped and counted by a masked value and constants: `select name from customers where ssn like '219%'`
  gives names. Each condition tells one bit of a row, and one long statement may ask hundreds (UNION ALL of `select '7' where exists (… like '7%')`):
  enough for a whole value. Rules can refuse predicates over masked columns. The SQLSTATE of an error, the number of rows and the time it
  took tell something too.
- **Who may insert into a masked table** can put rows of known values beside the hidden ones and join or group by the masked column, all in a
  transaction that is rolled back.
- **What the battery does not do**: triggers and casts of the target's own, structure changed past the agent while a session is open,
  several sessions at once, and whatever nobody has thought of.
"""


def table() -> str:
    """The head row is in the text; one row a line of the list."""
    rows = []
    for line in LINES:
        marks = Counter(trial.mark for trial in TRIALS if trial.line == line)
        asks, clean, infers = marks["silent"], marks["clean"], marks["infers"]
        came = f"{marks['open']}, see below" if marks["open"] else "0"
        name = line.replace("|", "\\|")
        cells = (name, marks.total(), asks or "", clean or "", infers or "", came)
        rows.append(f"| {' | '.join(map(str, cells))} |")
    marks = Counter(trial.mark for trial in TRIALS)
    whole = (len(TRIALS), marks["silent"], marks["clean"], marks["infers"], marks["open"])
    rows.append(f"| **all** | {' | '.join(map(str, whole))} |")
    return "\n".join(rows) + "\n"


def page() -> str:
    """The whole page."""
    head = _HEAD.format(needles=len(NEEDLES))
    marks = _MARKS.format(count=len(OPEN)) if OPEN else ""
    return head + table() + _TAIL.format(reports=len(REPORTS), open=_OPEN.format(marks=marks))


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - a command
