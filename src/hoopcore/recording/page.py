"""A session as one HTML page that anybody can read, and that can do nothing.

Every text of others is escaped, there is no script and no address, and the page forbids its browser
to load or send anything (Content-Security-Policy).  It is for reading; the recording beside it is
the evidence.

Order of the file: the page, its parts, statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any

from hoopcore.model import rfc3339
from hoopcore.recording.events import (
    Copied,
    End,
    Fatal,
    File,
    Finished,
    Header,
    Known,
    Notice,
    Policy,
    Rows,
    Said,
    Unmasked,
)
from hoopcore.recording.report import Report
from hoopcore.recording.words import (
    Prepared,
    carried,
    clock,
    outcome,
    parameters,
    rows_of,
    size,
    totals,
)

# A page that a browser still opens; the recording has all.
MOST_STATEMENTS = 20_000
_LARGEST_TEXT = 16 << 10
_MOST_ROWS = 20  # of one event of rows

_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-top:1px solid #8884}
th{font-weight:600;white-space:nowrap}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.4 ui-monospace,monospace}
.bad{color:#c0392b;font-weight:600}.good{color:#1e8449}.quiet{opacity:.7}
"""
_HEAD = (
    "<!doctype html>\n"
    '<html lang="en"><head><meta charset="utf-8">'
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'\">"
    '<meta name="referrer" content="no-referrer">'
    '<meta name="viewport" content="width=device-width">'
)


def page(
    events: Iterable[Known],
    *,
    report: Report,
    key: str,
    made: str,
    grants: Sequence[Mapping[str, Any]],
    requests: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """The page, piece by piece.  ``grants`` and ``requests`` are as the API gives them."""
    header = report.header
    session = header.session if header else ""
    yield f"{_HEAD}<title>hoop: session {_text(session)}</title>"
    yield f"<style>{_STYLE}</style></head><body>"
    yield f"<h1>Session {_text(session)}</h1>"
    yield _verdict(report, key)
    if header is not None:
        yield _table(_about(header, report.end))
    for grant in grants:
        yield f"<h2>Grant {_text(grant.get('id'))}</h2>{_table(_fields(grant))}"
    for request in requests:
        yield from _request(request)
    yield "<h2>What happened</h2><table>"
    yield from _statements(events)
    yield f"</table><p class=quiet>Made {_text(made)} by hoop.</p></body></html>\n"


# --- parts ----------------------------------------------------------------------------------------


def _text(value: object) -> str:
    """Escaped; what cannot be seen, or turns the direction of writing, is shown by its number."""
    shown = "".join(
        character if character.isprintable() or character in "\n\t " else f"\\u{ord(character):04x}"
        for character in str(value)
    )
    return escape(shown, quote=True)


def _verdict(report: Report, key: str) -> str:
    signed = f"signed by the key {_text(key)}"
    if report.ok:
        return f"<p class=good>The recording is complete and unchanged, {signed}.</p>"
    where = f" at line {report.bad}" if report.bad else ""
    return (
        f"<p class=bad>The recording does not verify{where}: {_text(report.why)}."
        f" Up to line {report.signed} it is {signed}.</p>"
    )


def _about(header: Header, end: End | None) -> Iterator[tuple[str, object]]:
    yield "who", f"{header.name or header.principal} ({header.principal})"
    yield "target", f"{header.target}, database {header.database}"
    yield "from", f"{header.door} {header.client}"
    yield "began", rfc3339(header.at)
    yield "grants", ", ".join(header.grants)
    yield "policy version", header.policy
    if end is not None:
        by = f" by {end.by}" if end.by not in ("", "system") else ""
        yield "ended", f"{rfc3339(end.at)}: {end.cause}{by}{f': {end.why}' if end.why else ''}"
        yield "in all", totals(end)


def _table(pairs: Iterable[tuple[str, object]]) -> str:
    rows = (f"<tr><th>{_text(name)}<td>{_text(value)}" for name, value in pairs if value)
    return f"<table>{''.join(rows)}</table>"


def _fields(told: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The plain values of a view of the API, in words."""
    for name, value in told.items():
        word = name.replace("_", " ")
        if isinstance(value, Mapping):
            if "name" in value:
                yield word, value["name"]
        elif isinstance(value, (list, tuple)):
            yield word, ", ".join(str(one) for one in value if not isinstance(one, (dict, list)))
        elif name != "id":
            yield word, value


def _request(request: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2>Request {_text(request.get('id'))}</h2>{_table(_fields(request))}"
    votes = request.get("votes") or []
    if votes:
        yield "<table><tr><th>vote<th>by<th>reason<th>at"
        for vote in votes:
            by = vote.get("voter", {}).get("name", "")
            cells = (vote.get("answer"), by, vote.get("reason"), vote.get("at"))
            yield f"<tr>{''.join(f'<td>{_text(cell)}' for cell in cells)}"
        yield "</table>"


# --- statements -----------------------------------------------------------------------------------


def _statements(events: Iterable[Known]) -> Iterator[str]:
    prepared = Prepared()
    shown = 0
    for event in events:
        if isinstance(event, Said):
            text = prepared.text(event)
            shown += 1
            if shown > MOST_STATEMENTS:
                yield _row(event, "", "quiet", "… the rest is in the recording beside this page")
                return
            yield _said(event, text)
        else:
            yield _other(event)


def _said(said: Said, text: str) -> str:
    word = {"allow": "", "refuse": "refused", "hold": "held"}.get(said.verdict, said.verdict)
    more = "" if len(text) <= _LARGEST_TEXT else "\n… the rest is in the recording"
    parts = [f"<pre>{_text(text[:_LARGEST_TEXT] + more)}</pre>"]
    if said.parameters:
        parts.append(f"<div class=quiet>with {_text(parameters(said))}</div>")
    if word:
        why = f": {said.reason}" if said.reason else ""
        parts.append(f"<div class=bad>{word} by rule “{_text(said.rule)}”{_text(why)}</div>")
    if said.hold:
        by = f", approved by {', '.join(said.approved)}" if said.approved else ""
        parts.append(f"<div>hold {_text(said.hold)}{_text(by)}</div>")
    does = " · ".join(part for part in (", ".join(said.effects), ", ".join(said.touches)) if part)
    parts.append(f"<div class=quiet>{_text(does)}</div>")
    return _row(said, str(said.seq), "bad" if word else "", "", "".join(parts))


def _other(event: Known) -> str:
    match event:
        case Finished():
            return _row(event, f"→ {event.seq}", "bad" if event.error else "quiet", outcome(event))
        case Rows():
            lines = list(islice(rows_of(event), _MOST_ROWS))
            left = len(event.rows) - len(lines)
            lines += [f"… {left:,} more are in the recording"] if left > 0 else []
            return _row(event, f"→ {event.seq}", "quiet", "\n".join(lines))
        case File():
            kind = "quiet" if event.outcome == "whole" else "bad"
            return _row(event, f"→ {event.seq}", kind, carried(event, short=False))
        case Copied():
            moved = f"COPY moved {size(event.bytes)} to the {event.to}"
            return _row(event, f"→ {event.seq}", "quiet", moved)
        case Notice():
            return _row(event, "hoop", "quiet", event.text)
        case Policy():
            return _row(event, "hoop", "quiet", f"policy version {event.version} from here on")
        case Unmasked():
            columns = ", ".join(event.columns)
            text = f"shown in clear: {columns}" if columns else "every mask is on again"
            return _row(event, "hoop", "bad", text)
        case Fatal():
            return _row(event, "target", "bad", f"ended the connection: SQLSTATE {event.code}")
        case End():
            return _row(event, "end", "", f"{event.cause}; {totals(event)}")
        case _:
            return ""


def _row(event: Known, mark: str, kind: str, text: str, ready: str = "") -> str:
    """``ready`` is escaped already."""
    shown = ready or f"<span class={kind}>{_text(text)}</span>" if kind else ready or _text(text)
    return f"<tr><td class=quiet>{clock(event.t)}<th>{_text(mark)}<td>{shown}\n"
