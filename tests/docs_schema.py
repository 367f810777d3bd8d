"""Writes docs/reference/recording.schema.json out of the events themselves.

    .venv/bin/python -m tests.docs_schema > docs/reference/recording.schema.json

Shapes, names and defaults come from the structs, the words about a member from the comment behind
it; what a type cannot say (hashes, counts, closed lists) stands here.  Order of the file: that,
then the events, then the line.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import sys
import tokenize
from typing import Any, get_args

import msgspec

from hoopcore.recording import END_CAUSES, FORMAT, Event, Known, Other
from hoopcore.recording import events as told

_HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_CLOSED: dict[tuple[str, str], dict[str, Any]] = {
    ("header", "format"): {"const": FORMAT},
    ("header", "n"): {"const": 1},
    ("header", "session"): {"minLength": 1},
    ("header", "durability"): {"enum": ["kernel", "disk"]},
    ("header", "key"): {"pattern": "^([0-9a-f]{16})?$"},
    ("statement", "kind"): {
        "enum": ["text", "run", "call", "exec", "shell", "subsystem", "forward", "file"]
    },
    ("statement", "verdict"): {"enum": ["allow", "hold", "refuse"]},
    ("copied", "to"): {"enum": ["target", "client"]},
    ("head", "key"): {"pattern": "^[0-9a-f]{16}$"},
    ("head", "signature"): {"pattern": "^[0-9a-f]{128}$"},
    ("end", "cause"): {"examples": list(END_CAUSES)},  # a newer agent may know others
}
_EVERY: dict[str, dict[str, Any]] = {
    "n": {"type": "integer", "minimum": 1, "description": "Number of the line, from 1."},
    "at": {
        "type": "integer",
        "minimum": 0,
        "default": 0,
        "description": "Wall time, microseconds since 1970 UTC.",
    },
    "t": {
        "type": "integer",
        "minimum": 0,
        "default": 0,
        "description": "Microseconds since the session began, by a clock that nobody can set.",
    },
}

# --- events ---------------------------------------------------------------------------------------


def _comments() -> dict[tuple[str, str], str]:
    """What stands behind a member in the source: by the name of its struct, and its own."""
    source = inspect.getsource(told)
    behind = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return {
        (shape.name, member.target.id): behind[member.lineno]
        for shape in ast.walk(ast.parse(source))
        if isinstance(shape, ast.ClassDef)
        for member in shape.body
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name)
        if member.lineno in behind
    }


def _counted(schema: Any) -> Any:
    """The same, where every integer is a count."""
    if isinstance(schema, list):
        return [_counted(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    counted = {key: _counted(value) for key, value in schema.items()}
    return counted | {"minimum": 0} if schema.get("type") == "integer" else counted


def _shapes() -> dict[str, Any]:
    kinds = tuple(kind for kind in get_args(Known) if kind is not Other)
    _, shapes = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    shapes, said = _counted(shapes), _comments()
    for name, shape in shapes.items():
        for member, schema in shape.get("properties", {}).items():
            if words := said.get((name, member)):
                schema["description"] = words
    for kind in kinds:
        config, shape = kind.__struct_config__, shapes[kind.__name__]
        members = shape["properties"]
        members["type"] = {"const": config.tag}
        for name in Event.__struct_fields__:
            del members[name]  # of the line
        for (tag, name), schema in _CLOSED.items():
            if tag == config.tag:
                members[name] = members.get(name, {}) | schema
    shapes["Head"]["required"].append("signature")
    return dict(shapes)


# --- the line -------------------------------------------------------------------------------------


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one line.

    What is of a type it does not know has the members that every line has, and may have others, as
    those of known types may: readers pass over them.
    """
    shapes = _shapes()
    tags = {name: one["properties"]["type"]["const"] for name, one in shapes.items()
            if "type" in one.get("properties", {})}  # fmt: skip
    unknown = {
        "description": "Of a newer agent: keep its numbers, pass over the rest.",
        "properties": {"type": {"not": {"enum": list(tags.values())}}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of a recording of hoop",
        "description": "See recording.md beside this file. The hash is the last member of its"
        " line, over the bytes before it: a line that was parsed and written again has another.",
        "type": "object",
        "required": ["type", "n", "hash"],
        "properties": {"type": {"type": "string"}, **_EVERY, "hash": _HASH},
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in tags] + [{"$ref": "#/$defs/Unknown"}],
        "$defs": shapes | {"Unknown": unknown},
    }


def page() -> str:
    """The file as it is committed."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
