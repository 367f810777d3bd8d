"""Reading in pieces, evidence and finding at the control API: who may, and what is audited."""

from __future__ import annotations

from hoopagent.index import Indexing
from hoopcli import archives
from hoopcore.recording import verify_file
from tests.wire.test_recorder_api import ADA, ANA, OWEN, SUE, Api, api

__all__ = ["api"]  # a fixture
ENDED, LIVE = "s-000000000b", "s-000000000c"


async def test_a_recording_is_read_in_pieces_and_audited_once(api: Api) -> None:
    parts: list[bytes] = []
    while True:
        begin = sum(map(len, parts))
        answer = await api.get(OWEN, f"/{ENDED}/recording", begin=str(begin), most="100")
        assert answer.status_code == 200
        assert len(answer.content) <= 100
        if not answer.content:
            break
        parts.append(answer.content)
    assert len(parts) > 3
    assert verify_file(parts, api.keys.public).ok
    trail = await api.trail()
    assert trail.count((OWEN.id, "recording.read", ENDED)) == 1


async def test_a_reading_that_begins_in_the_middle_is_audited(api: Api) -> None:
    await api.get(OWEN, f"/{ENDED}/recording", begin="50")
    await api.get(ANA, f"/{ENDED}/recording", begin="50")
    trail = await api.trail()
    assert {(OWEN.id, "recording.read", ENDED), (ANA.id, "recording.read", ENDED)} <= {*trail}
    for bad in ({"begin": "-1"}, {"most": "0"}, {"begin": "x"}):
        assert (await api.get(ANA, f"/{ENDED}/recording", **bad)).status_code == 422


async def test_evidence_is_signed_audited_and_only_for_who_may_read(api: Api) -> None:
    api.agent.parts["recording_keys"] = api.keys
    answer = await api.get(OWEN, f"/{ENDED}/evidence")
    found = archives.checked(answer.content, api.keys.public)
    assert found.ok, found.why
    assert found.manifest is not None
    assert found.manifest.made_for == OWEN.id
    assert (OWEN.id, "evidence.made", ENDED) in await api.trail()
    assert (await api.get(SUE, f"/{ENDED}/evidence")).status_code == 404
    assert (SUE.id, "session.read.refused", ENDED) in await api.trail()
    runs = await api.get(ANA, f"/{LIVE}/evidence")
    assert (runs.status_code, runs.json()["error"]) == (409, "runs")


async def test_nobody_finds_what_they_may_not_see(api: Api) -> None:
    indexing = Indexing(api.agent.store, api.agent.recordings, lambda: 0, pause=0.0)
    await indexing.fill()
    assert await api.ids(ADA, refused="1") == [LIVE, ENDED, "s-000000000d"]
    assert await api.ids(ADA, refused="1", live="1") == [LIVE]
    assert await api.ids(ANA, refused="1") == [LIVE, ENDED]
    assert await api.ids(SUE, refused="1") == []
    assert await api.ids(ADA, refused="1", principal=OWEN.name) == ["s-000000000d"]
    assert await api.ids(ANA, refused="1", principal=OWEN.name) == []
    assert await api.ids(ADA, refused="1", limit="1") == [LIVE]
    assert (await api.get(ADA, "", touching="a.b.c.d")).status_code == 422
