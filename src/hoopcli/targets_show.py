"""``hoop targets show TARGET``: what you may do there, how long, and what stands in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from hoopcli import about, completion_values, screen
from hoopcli.client import connected, path
from hoopcli.options import OutputOption, target_name
from hoopcli.view import Output, spell, when

_DISK = {
    "kernel": "no crash of the agent loses one; a power cut the last 50 ms at most",
    "disk": "each is on disk before it is sent on",
}


def show(
    target: Annotated[
        str,
        typer.Argument(
            help="The target.", metavar="TARGET", autocompletion=completion_values.targets
        ),
    ],
    output: OutputOption = Output.TABLE,
) -> None:
    """What you may do on one target, how long, and what is masked and refused there.

    \b
    Example:
      hoop targets show prod-db
    """
    name = target_name(target)
    with connected() as client:
        value = client.at(name).get(path("targets", name))
    now = screen.now()
    screen.show_one(
        output,
        value,
        pairs=lambda one: _pairs(one, now),
        name=lambda one: one["name"],
    )


def _pairs(target: Any, now: datetime) -> Iterator[tuple[str, object]]:
    yield "target", f"{target['name']} ({target['protocol']}, tier {target['tier']})"
    yield "databases", ", ".join(target["databases"])
    yield "address", " or ".join(target.get("address") or ())
    yield "owners", ", ".join(target.get("owners") or ())
    yield from _access(target, now)
    yield from _obstacles(target)
    recording = target.get("recording") or {}
    yield "recorded", _recorded(recording)


def _access(target: Any, now: datetime) -> Iterator[tuple[str, object]]:
    if target.get("open_until"):
        yield "open to you", f"yes, a session ends {when(target['open_until'], now)} at the latest"
    else:
        yield "open to you", "not now"
    for grant in target.get("grants") or ():
        by = f", by {grant['role']}" if grant.get("role") else ""
        by += _as(grant)
        what = about.scope(grant["scope"])
        ends = when(grant["not_after"], now)
        yield "by grant", f"{grant['id']}: {what}, ends {ends}{by}: {grant['reason']}"
    offers = target.get("offers") or ()
    for offer in offers:
        what = f"{about.scope(offer['scope'])}, for {spell(offer['at_most'])} at most"
        yield "may be asked", f"{what}, by {offer['role']}{_as(offer)}: {_deciders(offer)}"
    if not offers:
        yield "may be asked", "nothing: no role of yours may ask for it"
    elif not target.get("open_until") and any(one.get("decidable", True) for one in offers):
        longest = spell(max(offer["at_most"] for offer in offers))
        command = f'hoop request {target["name"]} --for {longest} --reason "..."'
        yield "ask for it", command


def _as(one: Any) -> str:
    """What a session is on the database, where that is a role of its own."""
    return f", as database role {one['database_role']}" if one.get("database_role") else ""


def _deciders(offer: Any) -> str:
    """Who decides, and whether there is anybody."""
    if not offer["votes"]:
        return "the policy decides at once"
    groups = " or ".join(offer["approvers"])
    votes = "a vote" if offer["votes"] == 1 else f"{offer['votes']} votes"
    nobody = "" if offer.get("decidable", True) else " (but nobody there can: only you are known)"
    return f"{votes} from {groups}{nobody}"


def _obstacles(target: Any) -> Iterator[tuple[str, object]]:
    """Masks and rules, as they are for who asks."""
    for mask in target.get("masks") or ():
        yield "masked", f"{mask['column']} ({mask['style']})"
    detectors = target.get("detectors") or ()
    if detectors:
        yield "masked", f"whatever looks like {' or '.join(detectors)}, in any column"
    if not target.get("masks") and not detectors:
        yield "masked", "nothing"
    verdicts = {"refuse": "refused", "hold": "held", "allow": "allowed"}
    for rule in target.get("rules") or ():
        yield verdicts.get(rule["verdict"], rule["verdict"]), f"{rule['name']}: {rule['reason']}"
    for budget in target.get("budgets") or ():
        yield "budget", about.budget(budget, several=len(target.get("grants") or ()) > 1)
    if target.get("pooler") == "transaction":
        words = "behind a pooler: session SET, temporary tables, PREPARE and LISTEN are refused"
        yield "refused", words


def _recorded(recording: Any) -> str:
    kept = {"exact": "with its exact text", "masked": "with sensitive values left out"}
    parts = [
        "every statement",
        kept.get(recording.get("text", ""), ""),
        _DISK.get(recording.get("durability", ""), ""),
    ]
    return "; ".join(part for part in parts if part)
