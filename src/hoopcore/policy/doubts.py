"""What is not wrong with the rules, and still can hardly be meant.

A rule that never has an effect is the worst of them: somebody believes that it protects something.

Order: a doubt, the rules that never match, rules behind stronger ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hoopcore.places import did_you_mean
from hoopcore.policy.about import About
from hoopcore.policy.budgets import Budget
from hoopcore.policy.deciding import Policy
from hoopcore.policy.impositions import Imposition
from hoopcore.policy.rules import NEEDS_ALLOWANCE, STRENGTHS, Rule
from hoopcore.policy.surroundings import Surroundings
from hoopcore.statement import Effect


@dataclass(frozen=True, slots=True)
class Doubt:
    """A rule by its name, the key it is about, and what is doubtful."""

    rule: str
    key: str
    message: str


def doubts(policy: Policy, around: Surroundings) -> list[Doubt]:
    """Everything doubtful, in the order of the rules."""
    found: list[Doubt] = []
    entries: tuple[Rule | Budget | Imposition, ...]
    entries = (*policy.rules, *policy.budgets, *policy.impositions)
    for entry in entries:
        for about in (entry.about, entry.unless):
            found += [Doubt(entry.name, *one) for one in _nobody(about, around)]
    for rule in policy.rules:
        found += [Doubt(rule.name, *one) for one in _nothing(rule)]
        for stronger in policy.rules:
            if stronger is not rule and _covers(stronger, rule, policy.rules):
                words = f'"{stronger.name}" ({stronger.verdict}) already speaks of all it speaks of'
                found.append(Doubt(rule.name, "", words))
                break
    return found


# --- rules that never match -----------------------------------------------------------------------


def _nobody(about: About | None, around: Surroundings) -> Iterator[tuple[str, str]]:
    """Conditions that nobody and nothing in these files meets."""
    if about is None:
        return
    if around.places is not None:
        for pattern in about.targets:
            if not any(map(pattern.fullmatch, around.places)):
                word = _written(pattern.pattern)
                yield "targets", f'no target is called "{word}"{did_you_mean(word, around.places)}'
        labels = [dict(place.target.labels) for place in around.places.values()]
        for name, wanted in about.labels:
            for pattern in wanted:
                if not any(name in has and pattern.fullmatch(has[name]) for has in labels):
                    yield (
                        "labels",
                        f'no target has the label {name} = "{_written(pattern.pattern)}"',
                    )
    known_words: tuple[tuple[str, frozenset[str], Iterable[str] | None], ...] = (
        ("groups", about.groups, around.groups),
        ("roles", about.roles, around.roles),
    )
    for key, named, known in known_words:
        for word in sorted(named - frozenset(known)) if known is not None else ():
            yield key, f'{_NO_SUCH[key]} "{word}"{did_you_mean(word, known or ())}'


_NO_SUCH = {
    "groups": "no role, approver or owner names the group",
    "roles": "no role is called",
}


def _written(pattern: str) -> str:
    """A pattern as it stands in the file."""
    signs = {".*": "*", ".": "?"}
    return re.sub(r"\\(.)|\.\*|\.", lambda found: found[1] or signs[found[0]], pattern)


def _nothing(rule: Rule) -> Iterator[tuple[str, str]]:
    """Statements of which there are none, or more than was thought."""
    changes = {Effect.UPDATE, Effect.DELETE}
    if rule.missing_where and rule.effects and not rule.effects & changes:
        yield "missing_where", "only update and delete can miss a WHERE, and it names neither"
    if rule.verdict == "allow" and not rule.effects & set(NEEDS_ALLOWANCE):
        needing = ", ".join(NEEDS_ALLOWANCE)
        yield "effects", f"what it allows is allowed anyway: only {needing} want an allowance"
    downloads = not rule.transfers or "download" in rule.transfers
    if rule.containing and not downloads:
        yield "containing", "only downloads are looked into, and it names others"
    if rule.larger_than and rule.transfers and not rule.transfers & {"download", "upload"}:
        yield "larger_than", "only downloads and uploads have a size, and it names neither"
    if rule.verdict != "allow":
        for pattern in rule.relations:
            if pattern.name.fullmatch("any name") and not pattern.every_schema:
                words = (
                    f'"{pattern.text}" is also every table whose schema is not known for certain'
                )
                yield "relations", words


# --- rules behind stronger ones -------------------------------------------------------------------


def _covers(stronger: Rule, rule: Rule, rules: Iterable[Rule]) -> bool:
    """Whether a rule never speaks, since this one always speaks first, or in the same breath.

    Only what is certain from the rules alone counts.
    """
    mine, other = STRENGTHS.index(stronger.verdict), STRENGTHS.index(rule.verdict)
    if mine > other or (mine == other and stronger.verdict == "allow"):
        return False
    if mine == other:
        place = list(rules)
        alike = _is_wider(stronger, rule) and _is_wider(rule, stronger)
        if alike and place.index(stronger) > place.index(rule):
            return False  # of two that are the same, the later one is told
    return _is_wider(stronger, rule)


def _is_wider(wide: Rule, narrow: Rule) -> bool:
    if wide.unless is not None and wide.unless != narrow.unless:
        return False
    if narrow.verdict == "allow" and wide.verdict == "refuse" and not wide.effects:
        effects = True  # whatever it allows has some effect
    elif narrow.verdict == "allow" and not wide.effects:
        effects = False  # a hold names no effect, so without the allowance it would be refused
    else:
        effects = not wide.effects or bool(narrow.effects and narrow.effects <= wide.effects)
    return (
        effects
        and _within(wide.relations, narrow.relations)
        and _within(wide.columns, narrow.columns)
        and _within(wide.functions, narrow.functions)
        and _within(wide.ddl, narrow.ddl)
        and wide.is_of_shells == narrow.is_of_shells
        and wide.is_of_files == narrow.is_of_files
        and (not wide.transfers or bool(narrow.transfers and narrow.transfers <= wide.transfers))
        and narrow.larger_than >= wide.larger_than
        and (
            not wide.containing or bool(narrow.containing and narrow.containing <= wide.containing)
        )
        and _within(wide.commands, narrow.commands)
        and _within(wide.paths, narrow.paths)
        and (narrow.missing_where or not wide.missing_where)
        and (narrow.missing_limit or not wide.missing_limit)
        and (narrow.filters_masked or not wide.filters_masked)
        and narrow.statements_above >= wide.statements_above
        and _is_about_more(wide.about, narrow.about)
    )


def _within(wide: tuple[Any, ...], narrow: tuple[Any, ...]) -> bool:
    """Patterns, by their words."""
    words = {one.text for one in wide}
    return not wide or "*" in words or bool(narrow and {one.text for one in narrow} <= words)


def _is_about_more(wide: About, narrow: About) -> bool:
    words = {pattern.pattern for pattern in wide.targets}
    targets = not wide.targets or bool(
        narrow.targets and {pattern.pattern for pattern in narrow.targets} <= words
    )
    return targets and all(
        not getattr(wide, name)
        or (getattr(narrow, name) and set(getattr(narrow, name)) <= set(getattr(wide, name)))
        for name in ("labels", "groups", "roles", "kinds", "priorities", "addresses", "times")
    )
