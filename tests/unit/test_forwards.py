"""Where a target forwards to: what is listed, and nothing that looks like it."""

from __future__ import annotations

import pytest

from hoopagent.config import Forward


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:5432", "localhost", 5432),
        ("localhost:5432", "LOCALHOST.", 5432),
        ("DB.internal:*", "db.internal", 1),
        ("*.internal:443", "a.b.internal", 443),
        ("*:22", "10.0.0.1", 22),
        ("[::1]:80", "::1", 80),
        ("*:*", "x", 65535),
    ],
)
def test_what_is_listed_may_be_reached(text: str, host: str, port: int) -> None:
    assert Forward.parse(text).matches(host, port)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:5432", "localhost", 5433),
        ("localhost:5432", "127.0.0.1", 5432),
        ("localhost:5432", "localhost:5432", 5432),
        ("db.internal:*", "xdb.internal", 1),
        ("db.internal:*", "db.internal.evil", 1),
        ("db.internal:*", "dbxinternal", 1),
        ("*.internal:443", "internal", 443),
        ("*.internal:443", "xinternal", 443),
        ("*.internal:443", "a/b.internal", 443),
        ("*.internal:443", "a\n.internal", 443),
        ("*:*", "", 1),
        ("*:*", "/run/docker.sock", 1),
        ("*:*", "x" * 254, 1),
        ("*:*", "x", 0),
        ("*:*", "x", 1 << 16),
        ("[::1]:80", "::1]", 80),
    ],
)
def test_what_is_not_listed_may_not(text: str, host: str, port: int) -> None:
    assert not Forward.parse(text).matches(host, port)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", ":22", "x:0", "x:65536", "x:y", "10.*:22", "*x:22", "a b:22", "[x]:2", 22],
)
def test_what_is_no_host_and_port_is_a_mistake(text: object) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        Forward.parse(text)
