"""``hoop review mine --apply``: answers from a file, one JSON object a line.

All lines are read before the first is sent, so that a slip of the hand changes nothing.  What the
agent refuses is told beside its line and the others go on, but for a run that would end too much:
that stops.

A line: ``{"grant": "grt-…", "answer": "keep", "reason": "…"}``, and ``scope``, ``until``, ``to``
where the answer takes one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hoopcli import screen
from hoopcli.client import connected
from hoopcli.errors import ApiError, Exit, say, usage
from hoopcli.options import scope_text
from hoopcli.view import Output, clean

ANSWERS = ("keep", "narrow", "give back", "delegate", "cannot say")
_KEYS = {"grant", "answer", "reason", "scope", "until", "to"}
_MOST = 10_000


def run(file: Path, output: Output, *, sure: bool) -> int:
    """The exit code: failed where a line was refused."""
    answers = _read(file)
    done = []
    with connected() as client:
        for number, answer in enumerate(answers, 1):
            body = {**answer, "attended": False, "group": len(answers), "sure": sure}
            try:
                decided = client.post("/v1/reviews", body)
            except ApiError as error:
                told = {"error": error.error, "message": error.message}
                done.append({"line": number, **answer, **told})
                if error.error == "too_many":
                    _rest(number, len(answers))
                    break
            else:
                state = decided["review"]["state"]
                done.append({"line": number, **answer, "state": state, "decided": decided})
    _show(output, done)
    return Exit.FAILED if any("error" in one for one in done) else Exit.DONE


def _rest(number: int, of: int) -> None:
    say(f"Stopped at line {number} of {of}: this would end much at once.")
    say("If it is meant, give the rest of the file with --sure.")


def _show(output: Output, done: list[dict[str, Any]]) -> None:
    screen.show(
        output,
        done,
        heads=("LINE", "GRANT", "ANSWER", "STATE"),
        row=lambda one: (
            one["line"],
            one["grant"],
            one["answer"],
            one.get("state") or f"not done: {one['message']}",
        ),
        name=lambda one: one["grant"],
        empty="The file has no answers.",
    )


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        said = getattr(problem, "strerror", None) or "it is not UTF-8"
        usage(f"{file}: {said}")
    answers = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            answers.append(_answer(line, f"{file}:{number}"))
    if len(answers) > _MOST:
        usage(f"{file}: more than {_MOST} answers")
    return answers


def _answer(line: str, where: str) -> dict[str, Any]:
    from hoopcore.model import is_id

    try:
        found = json.loads(line)
    except ValueError:
        usage(f"{where}: this line is no JSON")
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        usage(f"{where}: a line is an object of texts")
    odd = sorted(found.keys() - _KEYS)
    if odd:
        usage(f'{where}: unknown key "{clean(odd[0])}"', f"Known are: {', '.join(sorted(_KEYS))}")
    if not is_id(found.get("grant", "")):
        usage(f'{where}: "grant" is the id of a grant', "They are listed by:  hoop review mine")
    if found.get("answer") not in ANSWERS:
        usage(f'{where}: "answer" is one of: {", ".join(ANSWERS)}')
    if "scope" in found:
        found["scope"] = scope_text(found["scope"])
    return found
