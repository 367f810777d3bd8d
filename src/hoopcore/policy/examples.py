"""Examples of a rule: statements that it must, and must not, speak of.

An example is a text, or a table with ``sql`` (``command`` where the rule is about commands,
``transfer`` where it is about files) and whatever facts it is about: the time, the address, who it
is.  Facts that it does not state are not asked about, so an example that is only a text is
about the statement alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hoopcore.command import ACTIONS, Text, Transfer
from hoopcore.model import Kind, Priority
from hoopcore.policy import entries
from hoopcore.policy.about import LOCAL, Known, address_of
from hoopcore.policy.entries import Entry, chosen, moment, text, texts
from hoopcore.policy.rules import Rule
from hoopcore.shell import read as read_shell
from hoopcore.shell.seeing import plain_path
from hoopcore.sql.postgres import IN_PROCESS, read
from hoopcore.statement import Statement
from hoopcore.transfers import doing

KEYS = (
    *("sql", "command", "transfer", "size", "found"),
    *("at", "from", "target", "labels", "groups", "roles", "kind", "priority"),
)
"""What an example may state."""


@dataclass(frozen=True, slots=True)
class Example:
    """Statements, and the facts that are stated with them."""

    statements: tuple[Statement, ...]
    known: Known

    def is_of(self, rule: Rule) -> bool:
        """Whether the rule speaks of it: of this statement, whenever nothing stated is against."""
        if rule.about.meets(self.known) is False:
            return False
        if rule.unless is not None and rule.unless.meets(self.known):
            return False
        count = len(self.statements)
        if rule.verdict == "allow":
            return any(rule.surely_allows(s, e, count) for s in self.statements for e in s.effects)
        return any(rule.may_match(statement, count) for statement in self.statements)


def check_examples(rule: Rule, entry: Entry) -> None:
    """Notes each example that the rule does not hold to."""
    for key, wanted in (("example", True), ("counter_example", False)):
        for one in entry.take(key, _listed, list[Any]()):
            try:
                matches = _example(one, rule).is_of(rule)
            except ValueError as problem:
                entry.wrong(key, str(problem).replace("{key}", f'"{key}"'))
                continue
            if matches is not wanted:
                said = "does not match the rule" if wanted else "matches the rule"
                entry.wrong(key, f"the {key.replace('_', ' ')} {said}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _example(value: Any, rule: Rule) -> Example:
    if isinstance(value, str):
        return Example(_statements(value, rule, {}), Known())
    if not isinstance(value, dict):
        raise ValueError('{key} is a statement, or a table such as { sql = "…", at = … }')
    for key in value:
        if key not in KEYS:
            raise ValueError(f'unknown key "{key}" in an example; it may have: {", ".join(KEYS)}')
    said = "transfer" if rule.is_of_files else "command" if rule.is_of_shells else "sql"
    return Example(_statements(value.get(said, ""), rule, value), _known(value))


def _statements(said: Any, rule: Rule, told: dict[str, Any]) -> tuple[Statement, ...]:
    if rule.is_of_files:
        return (_transfer(text(said), told),)
    raw = text(said).encode()
    if rule.is_of_shells:
        return read_shell(raw).statements
    if len(raw) > IN_PROCESS:
        raise ValueError(f"an example is at most {IN_PROCESS} bytes")
    found = read(raw).statements
    if not found:
        raise ValueError("an example is a statement")
    return found


def _transfer(said: str, told: dict[str, Any]) -> Statement:
    """``download /srv/x``, ``rename /a to /b``."""
    action, _, names = said.partition(" ")
    paths = names.split(" to ") if action in ("rename", "link") else [names]
    if action not in ACTIONS or not all(path.startswith(("/", "~")) for path in paths):
        words = f'an example here is such as "download /srv/x": {", ".join(ACTIONS)}, and a path'
        raise ValueError(words)
    size = entries.size(told["size"]) if "size" in told else None
    found = entries.kinds(told["found"]) if "found" in told else frozenset[str]()
    files = tuple(Text(plain_path(path)) for path in paths)
    return doing("sftp", Transfer(action, files, size, found))


def _known(value: dict[str, Any]) -> Known:
    def stated(key: str, read: Any) -> Any:
        try:
            return read(value[key]) if key in value else None
        except ValueError as problem:
            raise ValueError(str(problem).replace("{key}", f'"{key}"')) from None

    priority = stated(
        "priority", lambda word: chosen(word, {p.value: p for p in Priority}, "priority")
    )
    return Known(
        target=stated("target", text),
        labels=stated("labels", _labels),
        groups=stated("groups", lambda words: frozenset(texts(words))),
        roles=stated("roles", lambda words: frozenset(texts(words))),
        kind=stated("kind", lambda word: chosen(word, {kind.value: kind for kind in Kind}, "kind")),
        priorities=None if priority is None else frozenset({priority}),
        address=stated("from", _address),
        at=stated("at", moment),
    )


def _labels(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError('{key} is a table of texts, such as { env = "prod" }')
    return tuple(sorted(value.items()))


def _address(value: Any) -> str:
    if value != LOCAL and address_of(text(value)) is None:
        raise ValueError(f'"{value}" is no address')
    return text(value)
