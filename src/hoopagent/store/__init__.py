"""Every question the agent asks of its memory.  SQLite by default, PostgreSQL when shared.

``Store`` is the whole list, ``values.py`` what it is asked with; ``sql.py`` is the one
implementation, on both databases.  Each state change is one conditional update that says whether it
won: never read, then write.

All methods raise ``StoreAway`` where the database cannot be reached, and nothing else of its kind.
A value that does not fit what is stored (a principal that is not there, an id used twice, a state
that cannot follow) is a mistake of the caller: ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from hoopagent.store.values import (
    AuditQuery,
    Counted,
    Follower,
    GrantMove,
    HasLeft,
    Kept,
    KeptState,
    Part,
    ReviewChange,
    RunBound,
    Settle,
    Settled,
    Standing,
    StoreAway,
    StoreUnusable,
    Taught,
    Terms,
    Token,
)
from hoopcore.access.glass import ItemState, ReviewItem
from hoopcore.audit import Head, Row
from hoopcore.model import (
    AuditEvent,
    Confirmed,
    Decision,
    Grant,
    GrantState,
    Principal,
    Request,
    RequestState,
    Session,
    Time,
    Vote,
)
from hoopcore.policy import Amount
from hoopcore.recording.facets import Condition, Count, Facet
from hoopcore.review import Item
from hoopcore.review import ItemState as ReviewState
from hoopcore.usage import Span, Use

__all__ = [
    "AuditQuery",
    "Counted",
    "Follower",
    "GrantMove",
    "HasLeft",
    "Kept",
    "KeptState",
    "Part",
    "ReviewChange",
    "RunBound",
    "Settle",
    "Settled",
    "Standing",
    "Store",
    "StoreAway",
    "StoreUnusable",
    "Taught",
    "Terms",
    "Token",
]


class Store(Protocol):
    async def close(self) -> None: ...

    # The highest wall time ever seen; a clock below it has been turned back.
    async def highest_time(self, now: Time) -> Time: ...

    # --- identity
    async def put_principal(self, principal: Principal, now: Time) -> None: ...
    async def principal(self, id: str) -> Principal | None: ...
    async def principals(self, ids: Sequence[str]) -> dict[str, Principal]: ...
    async def principals_in(self, groups: Sequence[str]) -> list[Principal]: ...
    async def principals_named(self, name: str) -> list[Principal]:
        """Those with this e-mail address (in any case), subject or id."""
        ...

    async def principals_owned(self, owners: Sequence[str]) -> list[Principal]:
        """Those that one of these e-mail addresses answers for."""
        ...

    async def use_id_token(self, hash: str, expires: Time, now: Time) -> bool:
        """True once per hash; False for ever after (until it has expired)."""
        ...

    async def add_token(self, token: Token) -> None: ...
    async def token(self, hash: str) -> Token | None: ...
    async def bind_token(self, hash: str, uid: int) -> bool:
        """Whether the token is this uid's: the first one to ask, or the same again."""
        ...

    async def revoke_token(self, hash: str) -> bool: ...
    async def revoke_tokens_of(self, principal: str) -> int: ...
    async def revoke_sign_in(self, sign_in: str, but: Sequence[str] = ()) -> int:
        """How many of its tokens that ended; those with a hash in ``but`` stay."""
        ...

    async def identity_until(self, principal: str, sign_in: str | None = None) -> Time:
        """The latest identity_until of its tokens that are not revoked; 0 where there is none.

        With ``sign_in``, of the tokens of that sign-in alone.
        """
        ...

    # --- what carries a session
    @property
    def changes(self) -> int | None:
        """Another number whenever principals, sign-ins or grants may have changed.

        None where others write to this store too, so that nobody knows without asking.
        """
        ...

    async def standing(
        self, principal: str, target: str, live_at: Time, *, who: bool = False
    ) -> Standing:
        """What carries a session there at that time; with ``who`` the principal too."""
        ...

    async def terms(self, ids: Sequence[str]) -> dict[str, Terms]:
        """By grant: what it was asked for under.  It never changes."""
        ...

    # --- requests, votes, grants
    async def add_request(
        self, request: Request, audit: AuditEvent, settle: Settle | None = None
    ) -> Request:
        """The request as stored: an earlier one where requester and key agree.  HasLeft.

        With ``settle``, what follows without any vote happens in the same transaction.
        """
        ...

    async def request(self, id: str) -> Request | None: ...
    async def request_with_key(self, requester: str, key: str) -> Request | None: ...
    async def requests(
        self,
        *,
        requester: str | None = None,
        state: RequestState | None = None,
        target: str | None = None,
        ids: Sequence[str] | None = None,
        limit: int = 200,
    ) -> list[Request]:
        """Newest first."""
        ...

    async def move_request(
        self, id: str, old: RequestState, new: RequestState, audit: AuditEvent
    ) -> bool:
        """Whether it was in the old state, and now is in the new one.  ``fulfil`` makes grants."""
        ...

    async def add_vote(self, vote: Vote, audit: AuditEvent, settle: Settle | None = None) -> bool:
        """False where that person has voted already, or the request is not pending any more.

        Votes on one request stand in line.  With ``settle``, what follows from all of them
        happens in the same transaction, so no vote is ever overlooked and none fulfils twice.
        """
        ...

    async def use_hold(self, id: str, *audit: AuditEvent, taught: Taught | None = None) -> bool:
        """Whether this held statement was approved, and now is used: True once, at the most.

        With ``taught``, a grant learns by it in the same transaction, or nothing of it happens.
        """
        ...

    async def confirm_hold(self, request: Request, said: Confirmed, audit: AuditEvent) -> bool:
        """A step-up of one's own: pending → approved, with what was said; no vote is cast."""
        ...

    async def open_holds(self) -> list[Request]:
        """Held statements that are pending, or approved and not used."""
        ...

    async def votes(self, request: str) -> list[Vote]: ...
    async def votes_on(self, requests: Sequence[str]) -> dict[str, list[Vote]]:
        """In the order they were cast; a request without votes is not in it."""
        ...

    async def fulfil(
        self, request: str, old: RequestState, grant: Grant, audit: AuditEvent
    ) -> bool:
        """Request → fulfilled and the grant, in one transaction; False where another one won."""
        ...

    async def grant(self, id: str) -> Grant | None: ...
    async def grants(
        self,
        *,
        principal: str | None = None,
        target: str | None = None,
        live_at: Time | None = None,
        later: bool = False,
        requests: Sequence[str] | None = None,
        limit: int | None = 500,
    ) -> list[Grant]:
        """Latest end first.  ``live_at``: those that hold then, with ``later`` or will."""
        ...

    async def move_grant(
        self, id: str, old: GrantState, new: GrantState, audit: AuditEvent
    ) -> bool:
        """Suspends one, or takes it up again; ``end_grant`` ends it."""
        ...

    async def scheduled(self, now: Time) -> list[Grant]:
        """Scheduled grants whose time has come; not those that begin with a connection."""
        ...

    async def begin_grant(
        self, id: str, at: Time | None, lasts: int | None, audit: AuditEvent
    ) -> bool:
        """Whether a scheduled grant begins by this: at that time, for so many seconds.

        Without a time and a length it begins and ends as it was made.  Nothing moves not_after.
        """
        ...

    async def end_grant(
        self,
        id: str,
        state: GrantState,
        by: str,
        why: str,
        at: Time,
        audit: AuditEvent,
        decision: Decision | None = None,
    ) -> bool:
        """False where it has ended already, or ends by itself at or before ``at``.

        ``decision``: the answer of a review that ended it, kept in the same transaction.
        """
        ...

    async def expire(self, now: Time) -> tuple[list[str], list[str]]:
        """Ends what is past its time: (ids of requests, ids of grants).

        A scheduled grant whose time has come is active after it.
        """
        ...

    # --- what went through grants, for budgets
    async def spend(self, amounts: Mapping[tuple[str, int], Amount], oldest: int) -> None:
        """Adds to (grant, bucket), and forgets all buckets before ``oldest``."""
        ...

    async def spent(self, grants: Sequence[str], oldest: int) -> dict[str, dict[int, Amount]]:
        """By grant and bucket, what all agents have added; buckets before ``oldest`` left out."""
        ...

    # --- sessions
    async def add_session(self, session: Session) -> None: ...
    async def update_session(self, session: Session) -> None:
        """Grants, counts and the end.  One that has ended keeps the end it has."""
        ...

    async def session(self, id: str) -> Session | None: ...
    async def sessions(
        self,
        *,
        principal: str | None = None,
        target: str | None = None,
        grant: str | None = None,
        since: Time | None = None,
        live: bool | None = None,
        limit: int = 200,
    ) -> list[Session]: ...

    # --- finding sessions (store/finding.py)
    async def put_facets(self, session: Session, found: Mapping[Facet, Count]) -> None:
        """What a session is found by, in place of what was there."""
        ...

    async def unindexed(self, limit: int, *, since: Time | None = None) -> list[str]:
        """Sessions that have ended (since then), and are not in the index, the last first."""
        ...

    async def forget_index(self) -> None: ...
    async def found(
        self,
        wanted: Sequence[Condition],
        *,
        principal: str | None = None,
        target: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 200,
    ) -> list[str]:
        """Sessions that have ended and meet every condition, one at least; the newest first."""
        ...

    async def answered_by(self, voter: str, session: str, on: Sequence[str]) -> list[str]:
        """Requests behind these grants, or holds of that session, on which somebody voted."""
        ...

    # --- usage, coverage, reviews of grants (store/reviewing.py)
    async def put_use(self, session: Session, use: Use) -> None:
        """What a session came to, in place of what was there."""
        ...

    async def uses(
        self, principal: str, since: Time, target: str | None = None
    ) -> dict[str, list[Counted]]:
        """By target, somebody's sessions that were open since then, the first first."""
        ...

    async def beat(self, targets: Sequence[str], now: Time) -> None:
        """Notes that the gate is up, and the only way to these targets."""
        ...

    async def coverage(self, targets: Sequence[str]) -> dict[str, list[Span]]:
        """When it was."""
        ...

    async def grant_reviews(
        self,
        *,
        ids: Sequence[str] | None = None,
        grant: str | None = None,
        subject: str | None = None,
        reviewer: str | None = None,
        states: Sequence[ReviewState] | None = None,
        due: Time | None = None,
        over: Time | None = None,
        limit: int = 500,
    ) -> list[Item]:
        """Newest first.  ``due``: those that nobody can undo any more then; ``over``: whose grant
        has ended by then."""
        ...

    async def change_review(self, change: ReviewChange) -> bool:
        """Whether all of it happened; False where somebody else was first, and nothing did."""
        ...

    async def seal_review(self, grant: str, audit: AuditEvent) -> bool:
        """Whether what was given back could still be undone, and cannot be any more."""
        ...

    async def decided_since(self, actor: str, since: Time) -> list[Decision]: ...
    async def last_answers(self, ids: Sequence[str]) -> dict[str, Decision]:
        """By grant: the last answer that left it as it is."""
        ...

    # --- where recordings are kept (store/keeping.py)
    async def kept(self, ids: Sequence[str]) -> dict[str, Kept]:
        """By session; one of which nothing is known but that its agent has it is not in it."""
        ...

    async def archived(self, kept: Kept) -> bool:
        """False where it is in an archive already, or its time is up."""
        ...

    async def unarchived(self, limit: int, *, since: Time | None = None) -> list[str]:
        """Sessions that have ended (since then), in no archive yet, the first first."""
        ...

    async def hold_recording(
        self, session: str, by: str, why: str, at: Time, audit: AuditEvent
    ) -> bool:
        """Nobody deletes it any more; False where it is held already, or its time is up."""
        ...

    async def release_recording(self, session: str, audit: AuditEvent) -> bool: ...
    async def outlived(
        self, before: Time | None, of: Mapping[str, Time | None], limit: int
    ) -> list[str]:
        """Sessions that ended before then (by target, where it has a time of its own) and whose
        recordings nobody holds and nobody deletes yet; the first first.  None: never.
        """
        ...

    async def begin_deletion(self, session: str, audit: AuditEvent) -> bool:
        """Whether it may be deleted now, by this; False where it is held, or is deleted."""
        ...

    async def deleting(self, limit: int) -> list[str]: ...
    async def recording_deleted(self, session: str, at: Time) -> None:
        """It is gone, and so is what the index knew of it."""
        ...

    # --- looking back
    async def add_decision(self, decision: Decision, audit: AuditEvent) -> None: ...
    async def decisions(self, grant: str) -> list[Decision]: ...

    # --- break-glass and its reviews, people who have left, what is told once (store/glass.py)
    async def break_glass(
        self, request: Request, grant: Grant, item: ReviewItem, events: Sequence[AuditEvent]
    ) -> bool:
        """Request, grant and review item at once; False where one of theirs was not looked at.

        HasLeft.
        """
        ...

    async def review_items(
        self,
        *,
        principal: str | None = None,
        state: ItemState | None = None,
        due_by: Time | None = None,
        ids: Sequence[str] | None = None,
        limit: int = 200,
    ) -> list[ReviewItem]:
        """Those that are due first come first."""
        ...

    async def decide_item(
        self, id: str, state: ItemState, by: str, reason: str, at: Time, audit: AuditEvent
    ) -> bool:
        """False where somebody has said so already."""
        ...

    async def has_left(self, principal: str) -> bool: ...
    async def leave(
        self, principal: str, by: str, why: str, at: Time, audit: AuditEvent
    ) -> tuple[list[str], list[str]]:
        """Ends all that somebody has, and keeps them out: (ids of grants, ids of requests)."""
        ...

    async def come_back(self, principal: str, audit: AuditEvent) -> bool: ...
    async def remind(self, subject: str, event: str, audit: AuditEvent) -> bool:
        """Whether this was told for the first time, and is on the audit now."""
        ...

    async def reminded(
        self, subjects: Sequence[str], events: Sequence[str]
    ) -> dict[str, list[str]]:
        """By subject, which of these events were told of it."""
        ...

    async def ending(self, after: Time, by: Time) -> list[Grant]:
        """Active grants that end in between, of which nobody was reminded."""
        ...

    # --- the audit: a chain of rows (hoopcore.audit), only ever added to
    async def audit(self, event: AuditEvent) -> None: ...
    async def audit_events(self, limit: int = 200) -> list[AuditEvent]: ...
    async def audit_rows(self, query: AuditQuery, limit: int = 1_000) -> list[Row]: ...
    async def audit_tail(self) -> tuple[int, str]:
        """Number and hash of the last row; 0 and 64 zeros where there is none."""
        ...

    async def add_audit_head(self, head: Head) -> None: ...
    async def audit_heads(self, after: int = 0, limit: int = 10_000) -> list[Head]: ...
    async def follow(self, name: str, holder: str, now: Time, until: Time) -> Follower | None:
        """Where this follower stands, taken until then; None while another agent has it."""
        ...

    async def followed(self, holder: str, follower: Follower) -> bool:
        """Keeps how far it came; False where another agent has it now."""
        ...

    async def followers(self) -> list[Follower]: ...
