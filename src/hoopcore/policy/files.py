"""What rules say of files beside the verdicts on them: what to find out first, and what to watch.

A verdict is asked for before a file is opened.  How long it is and what is in it may show only
then, so the rules also say how much may go through, and what a sample is to be looked through for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hoopcore.policy.deciding import BoundPolicy
from hoopcore.policy.rules import Rule
from hoopcore.statement import Reading, Statement


@dataclass(frozen=True, slots=True)
class Watch:
    """What is still to be watched in a file that was let."""

    largest: int | None = None  # bytes; what is beyond is refused
    words: str = ""  # why, then
    kinds: frozenset[str] = frozenset()  # of sensitive text, which a sample is asked about

    def __bool__(self) -> bool:
        return self.largest is not None or bool(self.kinds)


NOTHING_WATCHED = Watch()


class FileRules:
    """The rules of one session, as those who carry files ask for them."""

    def __init__(self, bound: Callable[[], BoundPolicy]) -> None:
        """``bound`` gives the rules that hold now."""
        self._bound = bound

    @property
    def names_paths(self) -> bool:
        """Whether some rule speaks of paths: what a path really is must be known before."""
        return any(rule.paths for rule in self._bound().of_hosts)

    @property
    def names_sizes(self) -> bool:
        """Whether some rule speaks of sizes."""
        return any(rule.larger_than for rule in self._bound().of_hosts)

    def refuses(self, statement: Statement) -> bool:
        """Whether it is refused; for what is too small to be recorded unless it is.

        What is held is not: who looks at a file and then opens it would never come to be asked.
        """
        verdict = self._bound().decide(Reading((statement,)))
        return not (verdict.allowed or verdict.held)

    def watch(self, statement: Statement) -> Watch:
        """What is still to be watched once this was let."""
        largest: Rule | None = None
        kinds = frozenset[str]()
        for rule in self._bound().of_hosts:
            if not (rule.larger_than or rule.containing) or rule.may_match(statement):
                continue
            if not replace(rule, larger_than=0, containing=frozenset()).may_match(statement):
                continue
            if rule.containing:
                kinds |= rule.containing
            elif largest is None or rule.larger_than < largest.larger_than:
                largest = rule
        if largest is None:
            return Watch(kinds=kinds)
        words = f'refused by rule "{largest.name}": {largest.reason}'
        return Watch(largest.larger_than, words, kinds)

    def found(self, samples: tuple[bytes, ...], kinds: frozenset[str]) -> frozenset[str]:
        """Which of these kinds are in some sample."""
        from hoopcore.detectors import find  # brings re2

        return frozenset(span.kind for one in samples for span in find(one, sorted(kinds)))
