"""Who may decide on a request, how many of them it takes, and what an approval may impose.

Values alone; they are kept with each request as they were when it was made.  A person is in them by
a group, or by name: the principal's id, the subject, or the e-mail address in any case.

Order of the file: voters, thresholds, what the gate enforces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# --- voters -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Voters:
    """Members of any of the groups, and the people who are named."""

    groups: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.groups or self.people)

    def __or__(self, other: Voters) -> Voters:
        return Voters(self.groups | other.groups, self.people | other.people)

    def meets(self, other: Voters) -> bool:
        """Whether a group or a name is in both."""
        return bool(self.groups & other.groups or self.people & other.people)

    def among(self, groups: frozenset[str], names: frozenset[str]) -> Voters:
        """That part of the voters which somebody of these groups and names is; empty: none of it.

        ``names`` are folded to small letters.
        """
        named = frozenset(one for one in self.people if one.casefold() in names)
        return Voters(self.groups & groups, named)

    def __str__(self) -> str:
        return " or ".join([*sorted(self.groups), *sorted(self.people)])


NO_VOTERS = Voters()


# --- thresholds -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Need:
    """So many of the votes must come from these voters."""

    voters: Voters
    votes: int = 1


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who may vote too once a request has waited so long.  It lowers no threshold."""

    after: int  # seconds since the request was made
    voters: Voters


def missing(needs: Sequence[Need], others: Voters, votes: Sequence[Voters]) -> int:
    """How many places no vote can fill: places less the largest matching of votes and needs.

    Each vote is given as what its voter was then.  A vote of ``others`` (who were added later) may
    stand in for any need.  One vote fills one place, whatever else its voter is: who is in two
    groups never counts for both.

    A vote takes a place that is free, or makes the one who has it look for another (augmenting
    paths).  A need with several places is one node with a capacity.
    """
    holders: list[list[int]] = [[] for _ in needs]  # by need: which votes fill it

    def placed(vote: int, tried: set[int]) -> bool:
        """A path from the vote to a free place, walked with a stack: there may be hundreds."""
        came: dict[int, tuple[int, int]] = {}  # need → the vote that reached it, and from where
        waiting = [(vote, -1)]
        while waiting:
            one, source = waiting.pop()
            for number, need in enumerate(needs):
                if number in tried or not _suits(need, others, votes[one]):
                    continue
                tried.add(number)
                came[number] = (one, source)
                if len(holders[number]) < need.votes:
                    _move(holders, came, number)
                    return True
                waiting += [(holder, number) for holder in holders[number]]
        return False

    filled = sum(placed(vote, set()) for vote in range(len(votes)))
    return sum(need.votes for need in needs) - filled


def _suits(need: Need, others: Voters, vote: Voters) -> bool:
    return vote.meets(need.voters) or vote.meets(others)


def _move(holders: list[list[int]], came: dict[int, tuple[int, int]], number: int) -> None:
    """Everybody on the path moves on to the place they found."""
    while True:
        vote, source = came[number]
        holders[number].append(vote)
        if source < 0:
            return
        holders[source].remove(vote)
        number = source


# --- what the gate enforces -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """What an approval imposes on the grant it makes, and the gate enforces."""

    read_only: bool = False  # the scope has no verb but read
    masked: bool = False  # nothing is shown in clear
    rows: int | None = None  # at most so many rows an hour; None: no bound of its own

    def __bool__(self) -> bool:
        return self.read_only or self.masked or self.rows is not None

    def __str__(self) -> str:
        words = []
        if self.read_only:
            words.append("read-only")
        if self.masked:
            words.append("masked")
        if self.rows is not None:
            words.append(f"at most {self.rows:,} rows an hour")
        return ", ".join(words)


NO_LIMITS = Limits()
