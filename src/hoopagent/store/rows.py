"""Values to rows and back.  A row that makes no value (an unknown state) raises ValueError."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

from sqlalchemy import RowMapping

from hoopagent.store import Terms, Token
from hoopagent.store.rules import (
    limits_of,
    limits_text,
    rule_of,
    rule_text,
    soft_of,
    soft_text,
    voters_of,
    voters_text,
)
from hoopcore.model import (
    NOTHING,
    Answer,
    AuditEvent,
    Confirmed,
    Decision,
    Grant,
    GrantState,
    Held,
    Kind,
    Principal,
    Priority,
    Request,
    RequestState,
    ReviewAnswer,
    Scope,
    Session,
    Vote,
)

Values: TypeAlias = dict[str, Any]


def plain(text: str) -> str:
    """The text as both databases can keep it: no NUL (PostgreSQL) and no half of a pair (UTF-8)."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _scope(text: str) -> Scope:
    return Scope.parse(text) if text else NOTHING


def principal(row: RowMapping, groups: Sequence[str]) -> Principal:
    return Principal(
        row["id"],
        Kind(row["kind"]),
        row["issuer"],
        row["subject"],
        row["email"],
        frozenset(groups),
        row["owner"],
    )


def token_values(token: Token) -> Values:
    return {
        "hash": token.hash,
        "principal": token.principal,
        "issued": token.issued,
        "expires": token.expires,
        "identity_until": token.identity_until,
        "key": token.key,
        "uid": token.uid,
        "revoked": token.revoked,
        "sign_in": token.sign_in,
    }


def token(row: RowMapping) -> Token:
    return Token(**row)


def request_values(request: Request) -> Values:
    return {
        "id": request.id,
        "requester": request.requester,
        "target": request.target,
        "scope": str(request.scope),
        "reason": plain(request.reason),
        "duration": request.duration,
        "created": request.created,
        "expires": request.expires,
        "rule": rule_text(request.rule),
        "policy_version": request.policy_version,
        "state": request.state.value,
        "task": plain(request.task),
        "ticket": plain(request.ticket),
        "priority": request.priority.value,
        "key": request.key or None,
        "held": _held_text(request.held),
        "starts": request.starts,
        "extends": request.extends,
        "break_glass": request.break_glass,
        "incident": plain(request.incident),
    }


def _held_text(held: Held | None) -> str:
    """What makes it a step-up is left out where it is none, as older agents wrote it."""
    if held is None:
        return ""
    added = ("learns", "own", "confirmed")
    kept = {key: value for key, value in asdict(held).items() if key not in added or value}
    return plain(json.dumps(kept, ensure_ascii=False))


def _held(text: str) -> Held | None:
    if not text:
        return None
    kept: dict[str, Any] = json.loads(text)
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()}
    if values.get("confirmed"):
        values["confirmed"] = Confirmed(**values["confirmed"])
    return Held(**values)


def terms(row: RowMapping) -> Terms:
    rule = rule_of(row["rule"])
    return Terms(rule.database_role, Priority(row["priority"]), rule.give_back)


def request(row: RowMapping) -> Request:
    return Request(
        **{
            **row,
            "scope": _scope(row["scope"]),
            "rule": rule_of(row["rule"]),
            "state": RequestState(row["state"]),
            "priority": Priority(row["priority"]),
            "key": row["key"] or "",
            "held": _held(row["held"]),
        }
    )


def vote_values(vote: Vote) -> Values:
    return {
        "id": vote.id,
        "request": vote.request,
        "voter": vote.voter,
        "answer": vote.answer.value,
        "reason": plain(vote.reason),
        "at": vote.at,
        "duration": vote.duration,
        "scope": "" if vote.scope is None else str(vote.scope),
        "starts": vote.starts,
        "groups": voters_text(vote.voter_is),
        "shown": vote.shown,
    }


def vote(row: RowMapping) -> Vote:
    kept = {key: value for key, value in row.items() if key != "groups"}
    return Vote(
        **{
            **kept,
            "answer": Answer(row["answer"]),
            "scope": _scope(row["scope"]) if row["scope"] else None,
            "voter_is": voters_of(row["groups"]),
        }
    )


def grant_values(grant: Grant) -> Values:
    return {
        "id": grant.id,
        "request": grant.request,
        "principal": grant.principal,
        "target": grant.target,
        "scope": str(grant.scope),
        "not_before": grant.not_before,
        "not_after": grant.not_after,
        "state": grant.state.value,
        "ended_at": grant.ended_at,
        "ended_by": grant.ended_by,
        "ended_why": plain(grant.ended_why),
        "lasts": grant.lasts,
        "started": grant.started,
        "imposes": limits_text(grant.limits),
        "soft": soft_text(grant.soft),
        "supersedes": grant.supersedes,
    }


def grant(row: RowMapping) -> Grant:
    kept = {key: value for key, value in row.items() if key != "imposes"}
    return Grant(
        **{
            **kept,
            "scope": _scope(row["scope"]),
            "state": GrantState(row["state"]),
            "limits": limits_of(row["imposes"]),
            "soft": soft_of(row["soft"]),
        }
    )


def session_values(session: Session) -> Values:
    """Without the grants, which are rows of their own."""
    return {
        "id": session.id,
        "principal": session.principal,
        "target": session.target,
        "database": plain(session.database),
        "door": session.door,
        "client": plain(session.client),
        "started": session.started,
        "ended": session.ended,
        "end_cause": session.end_cause,
        "statements": session.statements,
        "refused": session.refused,
        "masked": session.masked,
        "head": session.head,
    }


def session(row: RowMapping, grants: Sequence[str]) -> Session:
    return Session(**row, grants=tuple(grants))


def decision_values(decision: Decision) -> Values:
    return {
        "id": decision.id,
        "grant_id": decision.grant,
        "actor": decision.actor,
        "answer": decision.answer.value,
        "reason": plain(decision.reason),
        "at": decision.at,
        "evidence": plain(decision.evidence),
        "told": plain(decision.told),
    }


def decision(row: RowMapping) -> Decision:
    return Decision(
        row["id"],
        row["grant_id"],
        row["actor"],
        ReviewAnswer(row["answer"]),
        row["reason"],
        row["at"],
        row["evidence"],
        row["told"],
    )


def event_values(event: AuditEvent) -> Values:
    return {
        "at": event.at,
        "actor": plain(event.actor),
        "action": event.action,
        "subject": plain(event.subject),
        "detail": plain(json.dumps(event.detail, sort_keys=True, ensure_ascii=False)),
    }


def event(row: RowMapping | Values) -> AuditEvent:
    detail = json.loads(row["detail"])
    return AuditEvent(row["at"], row["actor"], row["action"], row["subject"], detail)
