"""docs/reference/recording.schema.json says what lines of recordings are, as others would check it.

Lines of real sessions are held against it wherever a world ends (``tests/worlds``).
"""

from __future__ import annotations

import json
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcore.recording import Chain, Event, Head, Header, Known, Other, Said, event_of_line
from tests import docs_schema
from tests.recording_schema import SCHEMA, problems
from tests.unit.test_recording import KEY, SESSION, header, some

_CLOSED: dict[str, st.SearchStrategy[Any]] = {
    "format": st.just(1),
    "verdict": st.sampled_from(["allow", "hold", "refuse"]),
    "kind": st.sampled_from(["text", "run", "call", "exec", "shell", "subsystem"]),
    "to": st.sampled_from(["target", "client"]),
    "durability": st.sampled_from(["kernel", "disk"]),
    "key": st.text("0123456789abcdef", min_size=16, max_size=16),
    "session": st.text(min_size=1),
}


def _anything(hint: Any) -> st.SearchStrategy[Any]:
    """Of that type; integers are counts."""
    inner = [_anything(one) for one in get_args(hint) if one is not ...]
    if hint is int:
        return st.integers(0, 2**63 - 1)
    if get_origin(hint) is tuple:
        return st.lists(inner[0]).map(tuple)
    if get_origin(hint) is list:
        return st.lists(inner[0])
    if get_origin(hint) is dict:
        return st.dictionaries(inner[0], inner[1])
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return st.builds(hint, **{n: _anything(one) for n, one in get_type_hints(hint).items()})
    return st.one_of(inner) if inner else st.from_type(hint)


def _event(kind: type[Event]) -> st.SearchStrategy[Event]:
    """With anything in every member that is not a closed list."""
    hints = get_type_hints(kind)
    own = [name for name in kind.__struct_fields__ if name not in Event.__struct_fields__]
    return st.builds(kind, **{n: _CLOSED[n] if n in _CLOSED else _anything(hints[n]) for n in own})


AN_EVENT = st.sampled_from([k for k in get_args(Known) if k not in (Other, Head, Header)])


def test_the_committed_schema_is_that_of_the_code() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == docs_schema.page(), docs_schema.__doc__


@pytest.mark.parametrize("line", some(), ids=range(len(some())))
def test_every_line_of_a_recording_fits(line: bytes) -> None:
    assert problems(line) == []


CHANGES: dict[str, dict[str, Any]] = {
    "no hash": {"hash": None},
    "a hash in capitals": {"hash": "A" * 64},
    "a shorter hash": {"hash": "a" * 63},
    "number nought": {"n": 0},
    "a number in quotes": {"n": "3"},
    "no number": {"n": None},
    "a time before all times": {"at": -1},
    "no type": {"type": None},
    "a verdict nobody gives": {"verdict": "perhaps"},
    "a statement without its number": {"seq": None},
    "a count below nought": {"seq": -1},
    "a list that is a text": {"effects": "read"},
    "a parameter that is a number": {"parameters": [1]},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_no_line_does_not_fit(change: dict[str, Any]) -> None:
    line = json.loads(Chain(n=4).seal(Said(seq=1, text="select 1", effects=("read",))))
    assert problems(json.dumps(line).encode()) == []
    changed = {name: value for name, value in (line | change).items() if value is not None}
    assert problems(json.dumps(changed).encode()) != []


def test_the_first_line_is_the_header_and_of_this_format() -> None:
    line = json.loads(Chain().seal(header()))
    assert problems(json.dumps(line | {"n": 2}).encode()) != []
    assert problems(json.dumps(line | {"format": 2}).encode()) != []


def test_a_head_is_signed() -> None:
    head = json.loads(Chain().head(Head(key="a" * 16), SESSION, KEY.sign))
    assert problems(json.dumps(head).encode()) == []
    del head["signature"]
    assert problems(json.dumps(head).encode()) != []


def test_lines_of_newer_agents_fit_and_are_passed_over() -> None:
    line = json.loads(Chain().seal(header())) | {"type": "telepathy", "thought": [1]}
    text = json.dumps(line).encode()
    assert problems(text) == []
    assert isinstance(event_of_line(text), Other)
    known = json.loads(Chain().seal(header())) | {"mood": "good"}
    assert problems(json.dumps(known).encode()) == []


@given(AN_EVENT.flatmap(_event))
def test_whatever_this_version_writes_fits(event: Event) -> None:
    assert problems(Chain(n=7).seal(event)) == []
