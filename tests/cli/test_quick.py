"""The quick way of ``hoop connect``: what it takes for the usual, and what it leaves alone."""

from __future__ import annotations

import json
import sys

import pytest

from hoopcli import quick
from hoopcore import versions

ENDPOINT = {"host": "/run/pg", "port": 5432, "user": "e-1", "database": "shop"}
VERSION = f"{versions.HEADER}: {versions.ours()}"


def answer(
    *lines: str, body: object = ENDPOINT, status: str = "201 Created", cut: int = 0
) -> bytes:
    content = json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", *lines, f"content-length: {len(content)}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content[: len(content) - cut]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (["prod-db", "--", "-c", "x"], ("prod-db", None, ["-c", "x"])),
        (["prod-db", "--database", "b", "--", "-l"], ("prod-db", "b", ["-l"])),
        (["prod-db", "--", "--", "-x"], ("prod-db", None, ["--", "-x"])),
        (["prod-db"], None),  # no terminal here
        (["prod-db", "--"], None),
        (["prod-db", "--listen", "--", "x"], None),
        (["-d", "prod-db"], None),
        (["other/prod-db", "--", "x"], None),
        (["prod-db", "--database", "--", "x"], None),
        (["prod-db", "--database=b", "--", "x"], None),
        (["--help"], None),
        (["prod-db", "-o", "json", "--", "x"], None),
        ([], None),
    ],
)
def test_only_the_usual_is_taken(
    typed: list[str], found: quick.Wish | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert quick.wish(typed) == found


def test_an_endpoint_is_taken_from_a_whole_answer_of_our_version() -> None:
    assert quick._made(answer(VERSION)) == ENDPOINT


@pytest.mark.parametrize(
    "said",
    [
        answer(VERSION, status="403 Forbidden"),
        answer(VERSION, cut=1),
        answer(VERSION, body=[1]),
        answer(VERSION, body={"host": "x"}),
        answer(f"{versions.HEADER}: 900..901"),
        b"HTTP/1.1 201 Created\r\n",
        b"",
        b"SSH-2.0-x\r\n",
    ],
)
def test_any_other_answer_is_left_to_the_command_itself(said: bytes) -> None:
    assert quick._made(said) is None
