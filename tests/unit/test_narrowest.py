"""What a refused statement wants of a scope: as little as would let it pass."""

from __future__ import annotations

import pytest

from hoopagent.narrowest import wanted
from hoopcore.recording.events import Event, Said


def said(*touches: str, rule: str = "scope", verdict: str = "refuse", **more: object) -> Said:
    return Said(seq=1, touches=touches, rule=rule, verdict=verdict, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("events", "scope"),
    [
        ([said("app.orders:read")], "app.orders:read"),
        ([said("app.orders:read", "*.items:update")], "*.items:update app.orders:read"),
        ([said("a.b:read"), said("app.orders:read")], "app.orders:read"),  # the last one counts
        ([said("a.b:read"), said("c.d:read", verdict="allow")], "a.b:read"),
        ([said("pg_catalog.pg_class:read", "a.b:read")], "a.b:read"),  # is free
        ([said("a.b:read", beyond=("call",))], "*.*:call a.b:read"),
        ([said("a.b:delete", rule="no-delete")], None),  # no scope would help
        ([said('a."my b":read')], None),
        ([said("a.b:read", unread="no parser knows it")], None),
        ([], None),
    ],
)
def test_the_last_statement_refused_for_its_scope_says_what_it_wants(
    events: list[Event], scope: str | None
) -> None:
    found = wanted(events)
    assert (None if found is None else str(found)) == scope
