"""What the player says around the rows: header, line of state, where evidence ends.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoopcli import view
from hoopcli.player.rows import Part, clock
from hoopcore.model import rfc3339
from hoopcore.recording import Report, State

if TYPE_CHECKING:
    from hoopcli.player.app import Played, Player
    from hoopcli.player.checking import Checking
    from hoopcli.player.reel import Reel
    from hoopcore.recording import Said

KEYS = "space play  n p next mark  r h m e  / search  tab details  ? help  q quit"
KINDS = {"refused": "refusal", "held": "hold", "masked": "mask", "error": "error"}
BEHIND = "no evidence: it stands behind where evidence ends"
ASKS = {
    "/": "search: a text, a rule, a table; Esc leaves",
    ":": "a statement (12) or a time (1:30); Esc leaves",
}


def where(step: int) -> str:
    return "further on" if step > 0 else "before here"


def cut(text: str, width: int) -> str:
    """The text in at most so many columns."""
    if view.cells(text) <= width:
        return text
    while text and view.cells(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def head(reel: Reel, played: Played, width: int) -> str:
    """Whose session it is, and below whether this is evidence."""
    told = reel.header
    if told is None:
        return f"no header\n{cut(verdict(played), width)}"
    on = f"{told.target}/{told.database}" if told.database else told.target
    first = f"{told.session}  {told.name or told.principal} on {on}  {rfc3339(told.at)[:19]}Z"
    return f"{cut(view.clean(first), width)}\n{cut(verdict(played), width)}"


def verdict(played: Played) -> str:
    """Whether the recording is what its agent wrote, as far as that is known now."""
    checking = played.checking
    problem = checking.problem or played.reel.tape.problem
    if problem:
        return view.clean(f"! reading it failed: {problem}")
    report = checking.report
    if report is None:
        found = checking.so_far
        if found.state is State.BROKEN:
            return view.clean(f"! CHANGED at line {found.bad}: {found.why}")
        if not played.reel.tape.whole:
            fits = f"unchanged so far, signed up to line {found.signed}"
            word = "running" if played.runs() else "being fetched"
            return f"{word}: {fits}" if played.has_key else word
        if checking.share == 0 and played.reel.share < 1:
            return f"being read: {played.reel.share:.0%}, then it is verified"
        return f"being verified: {checking.share:.0%}"
    if report.ok:
        if not played.has_key:
            return "its lines fit; signatures not verified (--key FILE gives the agent's key)"
        return "verified: complete and unchanged"
    if report.state is State.UNFINISHED:
        if played.runs():
            return f"the session runs: unchanged so far, signed up to line {report.signed}"
        return view.clean(f"! NOT WHOLE: {report.why}; signed up to line {report.signed}")
    line = f" at line {report.bad}" if report.bad else ""
    return view.clean(f"! CHANGED{line}: {report.why}")


def ends(reel: Reel, report: Report, *, runs: bool) -> tuple[int, str] | None:
    """(before which row evidence ends, why); None where it goes to the last."""
    if report.ok or (report.state is State.UNFINISHED and runs):
        return None
    row = reel.row_of_line(report.bad) if report.bad else reel.rows
    line = f"line {report.bad}: " if report.bad else ""
    return row, view.clean(f"{line}{report.why}")


def state(player: Player, width: int) -> str:
    """Where in the session one is, and how it goes on."""
    reel, pace = player.reel, player.pace
    here = reel[player.timeline.cursor].t if reel.rows else 0
    word = ">" if player.plays else "||"
    parts = [
        f"{word} {clock(here + int(pace.waited * 1e6))}/{clock(reel.length)}",
        f"{pace.speed:g}x",
    ]
    total = (
        f"{reel.rows:,}" if player.played.checking.report or reel.tape.whole else f"{reel.rows:,}+"
    )
    parts.append(f"row {min(player.timeline.cursor + 1, reel.rows):,} of {total}")
    if player.follows:
        parts.append("following")
    if player.plays and pace.skipped > 1:
        parts.append(f"({view.span(pace.skipped)} left out)")
    if player.search is not None:
        parts.append(f"/{view.clean(player.search.word)}: {player.search.hits}")
    if player.said:
        parts.append(player.said)
    return cut("  ".join(parts), width)


def opened(reel: Reel) -> list[Part]:
    """What the header of the recording says, beside its first row."""
    told = reel.header
    if told is None:
        return []
    return [
        Part("", " "),
        Part("", "the session", "head"),
        Part("who", f"{told.name} ({told.principal})" if told.name else told.principal),
        Part("target", f"{told.target}, {told.protocol}"),
        Part("database", told.database),
        Part("from", " ".join(part for part in (told.door, told.client) if part)),
        Part("grants", ", ".join(told.grants)),
        Part("policy", told.policy[:12]),
        Part("signed by", f"key {told.key}" if told.key else ""),
        Part("durable", told.durability),
    ]


def nothing(reel: Reel, checking: Checking) -> str:
    """Where there is no row."""
    if reel.stuck:
        return f"This is no recording: {reel.stuck}."
    if checking.report is not None:
        return "There is nothing in it."
    return "Nothing has come yet."


def has_terminal(said: Said) -> bool:
    """Whether it may have shown something on a terminal: a shell did, and a command may have."""
    return said.verdict == "allow" and said.kind in ("shell", "exec")


def place(text: str) -> int | float:
    """A statement's number, or (with a colon) seconds; ValueError with what would do."""
    parts = text.split(":")
    if len(parts) > 3 or not all(part.replace(".", "", 1).isdigit() for part in parts):
        raise ValueError("a statement's number (12), or a time (1:30)")
    if len(parts) == 1:
        return int(float(text))
    seconds = 0.0
    for part in parts:
        seconds = seconds * 60 + float(part)
    return seconds
