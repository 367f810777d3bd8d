"""Other masks in the middle of a session: the rest of a portal's rows is masked by them."""

from __future__ import annotations

import pytest

from hoopcore.masking import Masking
from hoopcore.model import Scope
from hoopcore.protocols.postgres import wire
from tests.unit.test_postgres_stream import (
    CATALOG,
    COVERED,
    MASKS,
    READY,
    Script,
    described,
    row,
)
from tests.wire.sequences import SYNC, bind, describe, execute

SSN = row(b"123-45-6789")
STARS = row(b"*" * 11)


COMPUTED = described((0, 0))


def test_what_an_open_portal_computes_from_a_masked_column_is_null_then() -> None:
    masking = Masking.load(MASKS)
    clear = masking.bind(CATALOG, unmasks=Scope.parse("public.people.ssn:unmask").unmasks)
    script = Script(clear)
    script.client(
        wire.parse(b"s", b"select upper(ssn)") + bind(b"p", b"s") + execute(b"p") + SYNC, COVERED
    )
    script.target(wire.frame(wire.PARSE_COMPLETE) + wire.frame(wire.BIND_COMPLETE))
    script.target(COMPUTED + SSN + wire.frame(wire.PORTAL_SUSPENDED) + wire.ready_for_query(b"T"))
    assert SSN in script.to_client
    script.stream.rebind(masking.bind(CATALOG), afresh=True)
    script.client(execute(b"p") + SYNC, COVERED)
    script.target(COMPUTED + SSN)
    assert script.to_client.endswith(row(None))


@pytest.mark.parametrize("afresh", [True, False])
def test_an_open_portal_is_described_anew_where_a_mask_is_on_again(afresh: bool) -> None:
    masking = Masking.load(MASKS)
    clear = masking.bind(CATALOG, unmasks=Scope.parse("public.people.ssn:unmask").unmasks)
    script = Script(clear)
    batch = wire.parse(b"s", b"select ssn from people") + bind(b"p", b"s")
    script.client(wire.query(b"begin"), COVERED)
    script.target(wire.frame(wire.COMMAND_COMPLETE, b"BEGIN\0") + wire.ready_for_query(b"T"))
    script.client(batch + describe(b"P", b"p") + execute(b"p") + SYNC, COVERED)
    script.target(wire.frame(wire.PARSE_COMPLETE) + wire.frame(wire.BIND_COMPLETE))
    suspended = wire.frame(wire.PORTAL_SUSPENDED) + wire.ready_for_query(b"T")
    script.target(described((20000, 2)) + SSN + suspended)
    assert SSN in script.to_client
    script.to_client = script.to_target = b""
    script.stream.rebind(masking.bind(CATALOG), afresh=afresh)
    script.client(execute(b"p") + SYNC, COVERED)
    assert (describe(b"P", b"p") in script.to_target) is afresh
    script.target((described((20000, 2)) if afresh else b"") + SSN + suspended)
    assert (STARS in script.to_client) is afresh
    assert (SSN in script.to_client) is not afresh
    assert READY not in script.to_client
