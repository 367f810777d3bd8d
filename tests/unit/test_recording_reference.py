"""docs/reference/recording.md names every event, every member of it, and every cause of an end."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from hoopcore.recording import END_CAUSES, Event, Known, Other, Totals

TEXT = (Path(__file__).parents[2] / "docs/reference/recording.md").read_text()


def test_every_event_and_every_member_is_documented() -> None:
    for kind in get_args(Known):
        if kind is Other:
            continue
        (row,) = [
            line for line in TEXT.split("\n") if f"| `{kind.__struct_config__.tag}` |" in line
        ]
        for name in set(kind.__struct_fields__) - set(Event.__struct_fields__):
            assert f"`{name}`" in row, (kind, name)
    for name in Totals.__struct_fields__:
        assert f"`{name}`" in TEXT


def test_every_cause_is_documented() -> None:
    causes = TEXT.split("Causes: ")[1].replace("\n", " ").rstrip(". ").split(" · ")
    assert tuple(causes) == END_CAUSES
