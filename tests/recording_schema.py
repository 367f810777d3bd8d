"""Lines of recordings against docs/reference/recording.schema.json, by a validator of other people.

``fits`` is asked of what every test's agent has recorded, when its world ends (``tests/worlds``).
"""

from __future__ import annotations

import json
from functools import cache
from itertools import islice
from pathlib import Path

from jsonschema import Draft202012Validator

from hoopagent.recordings import lines

SCHEMA = Path(__file__).parents[1] / "docs/reference/recording.schema.json"
EACH, ALL = 60, 600  # lines of a recording, and of a world: some tests record a hundred thousand


@cache
def validator() -> Draft202012Validator:
    """Of the committed file."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def problems(line: bytes) -> list[str]:
    """Where in the line, and what is wrong; never the line itself."""
    found = validator().iter_errors(json.loads(line))
    return [f"{problem.json_path}: {problem.validator}" for problem in found]


def unfit(recordings: Path) -> list[tuple[str, int, list[str]]]:
    """File, line and what does not fit, of a bounded number of lines, the newest files first."""
    files = sorted(recordings.rglob("*.zst"), key=lambda path: -path.stat().st_mtime_ns)
    each = (
        (path.name, number, line)
        for path in files
        for number, line in enumerate(islice(lines(path), EACH), 1)
    )
    return [
        (name, number, wrong)
        for name, number, line in islice(each, ALL)
        if (wrong := problems(line))
    ]
