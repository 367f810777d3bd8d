"""The rows of an audit, from an agent or from an exported file, and whether they are whole.

Rows are verified here, not at the agent: its word alone would be no evidence.  The key that signs
heads is asked of the agent, or given for a file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoopcli.client import Client
from hoopcli.errors import ApiError, Failure
from hoopcli.view import clean
from hoopcore.audit import Chain, Fault, Head, head_of, is_signed, row_of
from hoopcore.recording.chain import key_id

_PAGE = 1_000


def pages(client: Client, wish: Mapping[str, object], to: int = 0) -> Iterator[dict[str, Any]]:
    """Every row that fits, oldest first, in as many questions as it takes.

    What is asked for is on the audit too, so it ends at the row that was last when it began.
    """
    after = 0
    while True:
        told = client.get("/v1/audit", after=after, to=to, limit=_PAGE, **wish)
        to = to or told["tail"]["seq"]
        yield told
        rows = told["rows"]
        if len(rows) < _PAGE or rows[-1]["seq"] >= to:
            return
        after = rows[-1]["seq"]


def heads(client: Client) -> list[dict[str, Any]]:
    """What the agent has signed, the end of now included; none for who may not know."""
    try:
        found: list[dict[str, Any]] = client.get("/v1/audit/heads")["heads"]
    except ApiError as problem:
        if problem.status != 403:
            raise
        return []
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """What verifying found."""

    rows: int
    seq: int  # the last row that fits
    hash: str
    signed: int  # the last row that a good signature vouches for
    fault: Fault | None

    @property
    def ok(self) -> bool:
        return self.fault is None


def verify_agent(client: Client) -> Found:
    """All that the agent's store has, against the heads it has signed."""
    told = client.get("/v1/audit/heads")
    key = base64.b64decode(client.get("/v1/status")["keys"]["recording_public"])
    heads = [head_of(one) for one in told["heads"]]
    bad = _forged(heads, key)
    tail = (told["tail"]["seq"], told["tail"]["hash"])
    chain = Chain(_believed(heads, key))
    if bad is not None:
        chain.broken(bad.seq, f"the head of row {bad.seq} is not signed by the agent's key")
    if tail[0]:
        for told in pages(client, {}, tail[0]):
            for value in told["rows"]:
                _take(chain, value)
    return _found(chain, tail)


def verify_file(path: Path, key: bytes | None) -> Found:
    """An export, whose heads are in it; without the key nothing vouches for its end."""
    chain = Chain()
    values = list(_lines(path))
    heads = [head_of(one) for one in values if _is_head(one)]
    if key is not None:
        bad = _forged(heads, key)
        chain = Chain(_believed(heads, key))
        if bad is not None:
            chain.broken(bad.seq, f"the head of row {bad.seq} is not signed by this key")
    for value in values:
        if not _is_head(value):
            _take(chain, value)
    return _found(chain, None)


def _is_head(value: object) -> bool:
    return isinstance(value, dict) and "head" in value


def _lines(path: Path) -> Iterator[object]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                try:
                    yield json.loads(text)
                except (ValueError, RecursionError):
                    yield f"line {number}"
    except (OSError, UnicodeDecodeError) as problem:
        said = getattr(problem, "strerror", None) or "it is not UTF-8"
        raise Failure(f"cannot read {clean(path)}: {said}") from problem


def _take(chain: Chain, value: object) -> None:
    try:
        chain.take(row_of(value))
    except ValueError as problem:
        where = value if isinstance(value, str) else "a row"
        chain.broken(chain.seq + 1, f"{where} cannot be read: {problem}")


def _forged(heads: list[Head], key: bytes) -> Head | None:
    """A head that claims to be signed by this key, and is not."""
    ours = key_id(key)
    return next((one for one in heads if one.key == ours and not is_signed(one, key)), None)


def _believed(heads: list[Head], key: bytes) -> list[Head]:
    return [one for one in heads if is_signed(one, key)]


def _found(chain: Chain, tail: tuple[int, str] | None) -> Found:
    fault = chain.end(tail)
    return Found(chain.rows, chain.seq, chain.hash, chain.signed, fault)
