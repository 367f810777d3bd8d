"""The asciicast: what the format's second version asks for, and nothing else a terminal obeys.

The rules are those of docs.asciinema.org, "asciicast v2": a header of one line, then one array of
[time, code, data] a line, times never going back.
"""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hoopcli.replay_cast import cast
from hoopcore.recording import End, Fatal, Finished, Header, Known, Notice, Said
from tests.cli.recorded import BEGAN, lines, told

_OURS = re.compile("\x1b\\[(?:1;31|0)m")
_VERDICTS = st.sampled_from(["allow", "refuse", "hold"])
_KEYS = {
    "version": int,
    "width": int,
    "height": int,
    "timestamp": int,
    "duration": float,
    "idle_time_limit": float,
    "command": str,
    "title": str,
    "env": dict,
    "theme": dict,
}


def read(text: str) -> tuple[dict[str, Any], list[tuple[float, str, str]]]:
    """The file, if it is one; AssertionError with what is wrong."""
    first, *rest = text.split("\n")
    header = json.loads(first)
    assert header["version"] == 2
    assert header["width"] > 0
    assert header["height"] > 0
    for key, value in header.items():
        assert isinstance(value, _KEYS[key]), key
    assert all(isinstance(value, str) for value in header.get("env", {}).values())
    events = []
    before = 0.0
    for line in rest:
        event = json.loads(line)
        assert isinstance(event, list)
        time, code, data = event
        assert isinstance(time, (int, float))
        assert time >= before
        assert code in ("o", "i", "m", "r")
        assert isinstance(data, str)
        before = time
        events.append((time, code, data))
    return header, events


def events() -> list[Known]:
    from hoopcore.recording import event_of_line

    return [event_of_line(line) for line in lines(told())[0]]


def test_a_recording_becomes_an_asciicast_of_a_psql_session() -> None:
    header, shown = read("\n".join(cast(events(), 100, 2.0)))
    assert header == {
        "version": 2,
        "width": 100,
        "height": 24,
        "timestamp": BEGAN // 10**6,
        "title": "s-1c9fz4m2qk: ada@example.com on prod-db",
        "idle_time_limit": 2.0,
        "env": {"TERM": "xterm-256color"},
    }
    text = "".join(data for _, code, data in shown if code == "o")
    assert "shop=> select 1;\r\n" in text
    assert "shop-> " in text
    assert 'refused by rule "no-unbounded-delete"' in text
    assert "(2 rows)" in text
    assert "⟦ssn:3fa9c2d17b40⟧" in text
    assert text.replace("\r\n", "").isprintable() or "\x1b[" in text
    assert [data for _, code, data in shown if code == "m"] == ["refuse 2", "hold 4"]
    # The header's line stands at 0, the first statement follows at once, the pauses are real.
    times = [time for time, code, _ in shown if code == "o"]
    assert times[:3] == [0.0, 0.0, 0.0004]
    assert 599 < times[4] < 600


def test_what_is_left_out_is_not_waited_for() -> None:
    _, shown = read("\n".join(cast(events(), first=3)))
    assert shown[1][0] == 0.0
    assert "from customers" in shown[1][2]


@given(
    st.lists(
        st.one_of(
            st.builds(Said, seq=st.integers(1, 9), text=st.text(), verdict=_VERDICTS),
            st.builds(Finished, seq=st.integers(1, 9), columns=st.tuples(st.text())),
            st.builds(Notice, text=st.text()),
            st.builds(Fatal, code=st.text()),
            st.builds(End, cause=st.text()),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_any_events_make_a_file_that_only_shows_text(found: list[Known], headed: bool) -> None:
    header = Header(session="s", principal="p", target="t", name="\x1b[2Jx")
    for t, event in enumerate(found):
        event.t = t
    text = "\n".join(cast([header, *found] if headed else found))
    if not text:
        return
    for _, _, data in read(text)[1]:
        bare = _OURS.sub("", data).replace("\r\n", "")
        assert not re.search("[\x00-\x1f\x7f-\x9f]", bare)
