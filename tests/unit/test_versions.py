"""Which versions work together, and who is told to update."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hoopagent.api.server import Versioned
from hoopcore import versions
from hoopcore.versions import HEADER, Speaks, apart


async def _known(_: Request) -> JSONResponse:
    return JSONResponse({})


async def asked(header: str | None) -> httpx.Response:
    """What an agent of now answers to somebody who says this of their version."""
    app = Versioned(Starlette(routes=[Route("/known", _known)]))
    headers = {} if header is None else {HEADER: header}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
        return await client.get("/known", headers=headers)


def test_neighbours_work_together_and_others_do_not() -> None:
    assert apart(Speaks(3, 4), Speaks(4, 5)) is None
    assert apart(Speaks(4, 5), Speaks(3, 4)) is None
    assert apart(Speaks(3, 4), Speaks(5, 6)) is not None
    assert apart(Speaks(5, 6), Speaks(3, 4)) is not None


def test_the_one_that_is_behind_is_told_to_update() -> None:
    words, hint = apart(Speaks(3, 4), Speaks(6, 6)) or ("", "")
    assert words == "this hoop speaks version 3..4 of the API, the agent 6"
    assert hint.startswith("Update hoop")
    _, hint = apart(Speaks(6, 6), Speaks(3, 4)) or ("", "")
    assert "whoever runs it should update it" in hint


@given(st.text())
def test_whatever_the_other_side_says_is_a_range(text: str) -> None:
    assert Speaks.read(text) == versions.FIRST or str(Speaks.read(text)).count("..") == 1


@given(st.integers(0, 999_999), st.integers(0, 999_999))
def test_what_is_said_is_understood(oldest: int, newest: int) -> None:
    assert Speaks.read(str(Speaks(oldest, newest))) == Speaks(oldest, newest)


def test_this_version_speaks_its_own_and_the_one_before() -> None:
    assert versions.NEWEST - versions.OLDEST in (0, 1)


async def test_the_first_release_which_says_nothing_is_served() -> None:
    answer = await asked(None)
    assert answer.status_code == 200
    assert answer.headers[HEADER] == str(versions.ours())


async def test_a_hoop_that_is_too_old_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "OLDEST", 5)
    monkeypatch.setattr(versions, "NEWEST", 6)
    answer = await asked("3..4")
    assert answer.status_code == 426
    assert answer.headers[HEADER] == "5..6"
    assert answer.json()["error"] == "version"
    assert "speaks version 3..4 of the API, the agent 5..6" in answer.json()["message"]
    assert (await asked("4..5")).status_code == 200
