"""What ``hoop policy`` shows of a verdict: one of the rules at hand, and one of a recording.  Pure.

Values come as the core gives them; lines go to ``view.card``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hoopcore.recording import Known

_FACTS = {
    "groups": "groups (--group)",
    "roles": "roles (--role)",
    "priorities": "priority (--priority)",
    "address": "address (--from)",
}


def explained(told: dict[str, Any]) -> list[tuple[str, object]]:
    """A verdict as lines for people."""
    words = {"allow": "allowed", "refuse": "refused", "hold": "held for approval"}
    rule = f' by rule "{told["rule"]}"' if told["rule"] else ""
    many = len(told["statements"]) > 1
    which = f", for statement {told['statement']}" if many and told["statement"] else ""
    lines: list[tuple[str, object]] = [
        ("verdict", f"{words[told['verdict']]}{rule}{which}"),
        ("reason", told["reason"]),
        ("next", told["hint"]),
    ]
    for number, one in enumerate(told["statements"], 1):
        if many:
            lines.append((f"statement {number}", words[one["verdict"]]))
        lines += _about_statement(one)
    unknown = [_FACTS[name] for name in told["not_known"] if name in _FACTS]
    lines.append(("not told", ", ".join(unknown)))
    lines.append(("budgets", ", ".join(told["budgets"])))
    lines.append(
        ("imposed", ", ".join(f"{name} = {value}" for name, value in told["imposed"].items()))
    )
    return lines


def _about_statement(one: dict[str, Any]) -> list[tuple[str, object]]:
    missing = [f"WHERE ({', '.join(one['missing_where'])})"] if one["missing_where"] else []
    missing += ["LIMIT"] if one["missing_limit"] else []
    more = "relations that the text does not name" if one["reaches_more"] else ""
    columns = [*one["columns"], *(["whole rows"] if one["whole_rows"] else [])]
    return [
        ("seen", one["tag"]),
        ("effects", ", ".join(one["effects"])),
        ("ddl", ", ".join(one["ddl"])),
        ("relations", ", ".join(one["relations"])),
        ("columns", ", ".join(column for column in columns if column != "*")),
        ("rows hang on", ", ".join(one["filters"])),
        ("functions", ", ".join(one["functions"])),
        ("missing", " and ".join(missing)),
        ("may reach", more),
        ("matches", ", ".join(one["matching"])),
    ]


# --- of a recording -------------------------------------------------------------------------------


def recorded(events: Iterable[Known], number: int) -> dict[str, Any] | None:
    """What the recording says of one statement; None where it has none of that number."""
    from hoopcli.replay_view import Prepared, outcome, parameters
    from hoopcore.model import rfc3339
    from hoopcore.recording import Finished, Header, Said

    prepared, policy = Prepared(), ""
    found: dict[str, Any] | None = None
    for event in events:
        if isinstance(event, Header):
            policy = event.policy
        elif isinstance(event, Said):
            text = prepared.text(event)
            if event.seq == number:
                found = {
                    "statement": number,
                    "at": rfc3339(event.at),
                    "verdict": event.verdict,
                    "rule": event.rule,
                    "reason": event.reason,
                    "policy": policy,
                    "text": text,
                    "parameters": parameters(event),
                    "tag": event.tag,
                    "effects": list(event.effects),
                    "relations": list(event.touches),
                    "unread": event.unread,
                    "hold": event.hold,
                    "approved": list(event.approved),
                    "outcome": "",
                }
        elif isinstance(event, Finished) and found is not None and event.seq == number:
            found["outcome"] = outcome(event)
    return found


def past(told: dict[str, Any]) -> list[tuple[str, object]]:
    words = {"allow": "let through", "refuse": "refused", "hold": "held for approval"}
    verdict = words.get(told["verdict"], told["verdict"])
    if told["rule"]:
        verdict += f' by rule "{told["rule"]}"'
    elif told["verdict"] == "allow":
        verdict += ": no rule spoke of it, and the grant covered it"
    return [
        ("verdict", verdict),
        ("reason", told["reason"]),
        ("held as", told["hold"]),
        ("approved", ", ".join(told["approved"])),
        ("statement", told["text"]),
        ("parameters", told["parameters"]),
        ("seen", told["tag"]),
        ("effects", ", ".join(told["effects"])),
        ("relations", ", ".join(told["relations"])),
        ("not read", told["unread"]),
        ("outcome", told["outcome"]),
        ("at", told["at"]),
        ("policy", told["policy"][:12]),
    ]
