"""How a session goes to its target: where, as whom, and with which proof.

Whether it may go at all was decided before (``sessions.admit``).
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from hoopagent import connect
from hoopagent.ephemeral import User, Users
from hoopagent.ledger import Ledger
from hoopagent.live import Prepared
from hoopagent.meter import CODE
from hoopagent.own import AskedInVain, newest
from hoopagent.secrets import Secrets, SecretUnread
from hoopcore.model import Time, rfc3339
from hoopcore.policy import Facts, Policy, ending, free_at
from hoopcore.protocols.postgres.login import Admission
from hoopcore.sql.names import ASKED
from hoopcore.sql.session import discard_keeps_role
from hoopcore.stream import LoginRefused

log = structlog.get_logger()

_TELL = "tell who runs the agent"


async def user_for(users: Users, prepared: Prepared, until: Time) -> User | None:
    """A user of the session's own where the target has such; LoginRefused where none is made."""
    section, target = prepared.section, prepared.target.name
    if not section.credential.ephemeral:
        return None
    granted = prepared.granted_role
    roles = (granted,) if granted else section.credential.in_roles
    try:
        return await users.make(target, section, roles, until)
    except (AskedInVain, SecretUnread) as problem:
        log.warning("user.not_made", target=target, why=str(problem))
        words = f'no user could be made for this session on target "{target}"'
        raise LoginRefused("58000", words, _TELL) from problem


def facts_of(prepared: Prepared, server_version: str = "") -> Facts:
    """What a verdict in this session hangs on; ``server_version`` is empty until it is known."""
    told = prepared.told
    return Facts(
        prepared.principal,
        prepared.target,
        prepared.access.scope,
        prepared.session,
        pooled=prepared.pooled,
        role=prepared.role,
        discards=discard_keeps_role(server_version),
        roles=told.roles,
        priorities=told.priorities,
        address=told.address,
        imposed=prepared.imposed,
        rows=prepared.access.rows,
        soft=prepared.access.soft,
    )


async def check_budgets(policy: Policy, prepared: Prepared, ledger: Ledger, now: Time) -> None:
    """LoginRefused where a grant of the session has used up a budget that ends; StoreAway."""
    budgets = policy.budgets_for(facts_of(prepared), now)
    if not budgets:
        return
    await ledger.open(prepared.access.grants)
    for grant in prepared.access.grants:
        spent = ledger.of(grant)
        over = ending(budgets, spent.total(now))
        if over is not None:
            words = f'budget "{over.budget.name}" of your grant: {over.words}: {over.budget.reason}'
            raise LoginRefused(CODE, words, f"Try again at {rfc3339(free_at(over, spent, now))}.")


async def admission(
    prepared: Prepared,
    place: connect.Place,
    secrets: Secrets,
    random: Callable[[int], bytes],
    first: str,
) -> Admission:
    """What the protocol's login needs; ``first`` is the database of the endpoint, if it has one."""
    section, target = prepared.section, prepared.target.name
    databases = section.databases
    if first:
        databases = (first, *(name for name in databases if name != first))
    if prepared.user is None:
        name, password = section.credential.user, await _password(prepared, secrets)
    else:
        name, password = prepared.user.name, prepared.user.password
    return Admission(
        target=target,
        databases=databases,
        user=name,
        password=password,
        tls=connect.wants_tls(place),
        verified=connect.is_verified(place),
        require_auth=section.credential.require_auth,
        hosts=1 + len(place.others),
        attrs=section.target_session_attrs,
        newest=newest(section),
        pooled=prepared.pooled,
        names=ASKED if prepared.named else b"",
        role=prepared.starts_as,
        imposed=prepared.imposed,
        label=f"hoop:{prepared.principal.name}:{prepared.session} ",
        client_secret=random(32),
    )


async def _password(prepared: Prepared, secrets: Secrets) -> str | None:
    target = prepared.target.name
    try:
        return await secrets.password(target, prepared.section.credential)
    except SecretUnread as problem:
        log.warning("secret.unread", target=target, problem=str(problem))
        raise LoginRefused("58000", "the agent cannot read the target's credential", _TELL) from (
            problem
        )
