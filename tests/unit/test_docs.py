"""The documents say what the code has: every key, command, variable and route, and no other.

Order of the file: links and names, configuration, commands, the API, tests that are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hoopagent import config as configuration
from hoopagent.api.context import Agent
from hoopagent.api.server import application
from hoopagent.config_files import FILES
from hoopcli.app import ENTRIES
from hoopcli.errors import Exit
from hoopcore import masks_file, policy
from hoopcore.detectors import CHECKSUMS, KINDS
from hoopcore.masking import Masking
from hoopcore.statement import Effect
from hoopcore.styles import Style
from tests import docs_commands

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def cells(row: str) -> list[str]:
    """A table row's cells; a ``|`` that is written ``\\|`` is part of one."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip())[1:-1]]


def tables(text: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Each table with the heading above it, without its own head."""
    heading, rows = "", list[list[str]]()
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append(cells(line))
            continue
        if rows:
            yield heading, rows[2:]
            rows = []
        if line.startswith("#"):
            heading = line.lstrip("# ").replace("`", "")


# --- links and names ------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        for link in re.findall(r"\]\(([^)#:\s]+)", page.read_text(encoding="utf-8")):
            found = (page.parent / link).resolve()
            inside = sorted(found.glob("*.md")) if found.is_dir() else [found]
            waiting += [one for one in inside if one.suffix == ".md" and one not in seen]
    assert set((ROOT / "docs").rglob("*.md")) <= seen


def test_every_name_in_the_readme_s_map_exists() -> None:
    (rows,) = [rows for _, rows in tables(text_of("README.md")) if "hoopcore/" in rows[0][0]]
    for where, _, read in rows:
        names = re.findall(r"`([^`]+)`", where)
        folder = ROOT / "src" / names[0]
        for name in names:
            assert any((parent / name).exists() for parent in (ROOT / "src", folder.parent)), name
        for name in re.findall(r"`([^`]+)`", read):
            assert (folder / name).exists() or (folder.parent / name).exists(), name


# --- configuration --------------------------------------------------------------------------------

MODELS: Mapping[str, type[BaseModel]] = {
    "[agent]": configuration.Agent,
    "[[agent.audit]]": configuration.AuditSink,
    "[[agent.notify]]": configuration.Notify,
    "[agent.archive]": configuration.ArchiveSection,
    "[identity]": configuration.Identity,
    "[[identity.workloads]]": configuration.Workload,
    "[targets.NAME]": configuration.TargetSection,
    "credential": configuration.Credential,
    "tls": configuration.Tls,
    "host": configuration.HostKeys,
    "[roles.NAME]": configuration.Role,
    "[[roles.NAME.may_request]]": configuration.Eligibility,
    "[[roles.NAME.may_request.needs]]": configuration.Need,
    "[[roles.NAME.may_request.later]]": configuration.Escalation,
    "[[roles.NAME.may_request.auto]]": configuration.Auto,
    "[roles.NAME.may_request.reasons]": configuration.Reasons,
}


def documented() -> dict[str, dict[str, Sequence[str]]]:
    """Heading → key → type, default and meaning."""
    found: dict[str, dict[str, Sequence[str]]] = {}
    for heading, rows in tables(text_of("docs/reference/configuration.md")):
        assert heading not in found
        found[heading] = {key.strip("`"): rest for key, *rest in rows}
        assert len(found[heading]) == len(rows), heading
    return found


def written(value: object) -> str:
    """A default as one writes it in TOML."""
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "the defaults below"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str | Path):
        return f'`"{value}"`'
    if isinstance(value, tuple | frozenset):
        return "`[" + ", ".join(f'"{one}"' for one in value) + "]`"
    return f"`{value}`"


def default_of(field: FieldInfo) -> str:
    return "required" if field.is_required() else written(field.get_default())


def test_every_section_of_the_configuration_has_a_table() -> None:
    assert {*configuration.Section.__subclasses__()} - {configuration.Config} == {*MODELS.values()}
    assert {*documented()} == {*MODELS, "masks.toml", "[[mask]]", "[[detector]]"}
    for name in FILES:
        assert f"## {name}" in text_of("docs/reference/configuration.md")


@pytest.mark.parametrize("heading", MODELS)
def test_every_key_has_a_row_with_its_default_and_no_other_has(heading: str) -> None:
    rows = documented()[heading]
    fields = MODELS[heading].model_fields
    assert list(rows) == list(fields)
    assert {key: row[1] for key, row in rows.items()} == {
        key: default_of(field) for key, field in fields.items()
    }


def test_every_word_a_key_may_have_is_in_its_row() -> None:
    for heading, model in MODELS.items():
        for key, field in model.model_fields.items():
            kind: Any = field.annotation
            words: list[Any] = (
                list(kind) if isinstance(kind, type) and issubclass(kind, Enum) else []
            )
            words += [word for word in getattr(kind, "__args__", ()) if isinstance(word, str)]
            for word in words:
                assert f'`"{word}"`' in documented()[heading][key][0], (heading, key, word)


def test_every_key_of_a_mask_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, Sequence[str]] = {}
    monkeypatch.setattr(
        masks_file._Loader,
        "_known",
        lambda _, path, table, names: known.update({f"[[{path[0]}]]" if path else "": names}),
    )
    mask = '[[mask]]\ncolumn = "a.b.c"\nstyle = "full"'
    detector = '[[detector]]\nname = "x"\npattern = "x"\nmatch = ["x"]'
    masks_file.read_masks(f"{mask}\n{detector}")
    assert sorted(documented()["masks.toml"]) == sorted(known.pop(""))
    for heading, keys in known.items():
        assert sorted(documented()[heading]) == sorted(keys)
    for style in Style:
        assert f'`"{style}"`' in documented()["[[mask]]"]["style"][2]
    for kind in KINDS:
        assert f'`"{kind}"`' in documented()["masks.toml"]["detectors"][2]
    for checksum in CHECKSUMS:
        assert f'`"{checksum}"`' in documented()["[[detector]]"]["checksum"][2]


def test_every_effect_is_explained() -> None:
    page = text_of("docs/how-to/write-rules-and-masks.md")
    (rows,) = [rows for heading, rows in tables(page) if heading == "Effects"]
    told = {word for row in rows for word in re.findall(r"`(\w+)`", row[0])}
    assert told == {effect.value for effect in Effect} | {"select"}


def test_every_example_of_rules_and_masks_is_understood() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", text_of("docs/how-to/write-rules-and-masks.md"), re.S)
    rules = [b for b in blocks if any(f"[[{kind}]]" in b for kind in ("rule", "budget", "impose"))]
    masks = [block for block in blocks if "[[mask]]" in block]
    assert len(rules) + len(masks) == len(blocks) > 1
    for block in rules:
        found = policy.Policy.load(block)
        assert found.rules or (found.budgets and found.impositions)
    for block in masks:
        assert Masking.load(block).columns


# --- commands -------------------------------------------------------------------------------------


def test_the_page_of_commands_is_current() -> None:
    assert text_of("docs/reference/commands.md") == docs_commands.page(), docs_commands.__doc__


def test_every_command_and_exit_code_is_there() -> None:
    page = text_of("docs/reference/commands.md")
    for name in ENTRIES:
        assert f"\n## hoop {name}\n" in page
    for code in Exit:
        assert f"\n| {int(code)} |" in page


def test_every_command_of_the_agent_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    from hoopagent.__main__ import main

    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert set(re.findall(r"^    (\w+) ", told, re.M)) - {"COMMAND"} == set(docs_commands.AGENT)


def test_every_variable_of_the_environment_is_there() -> None:
    found = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"\b(?:HOOP_[A-Z_]+|NO_COLOR)\b", path.read_text(encoding="utf-8"))
    }
    assert found == set(docs_commands.VARIABLES)


# --- the API --------------------------------------------------------------------------------------


def test_every_route_is_there_and_no_other(tmp_path: Path) -> None:
    nothing: Any = None  # routes are made without asking any part of the agent
    agent = Agent(
        store=nothing,
        identity=nothing,
        live=SimpleNamespace(close_for_grant=nothing),
        clock=lambda: 0,
        random=bytes,
        recordings=tmp_path,
        recording_key=b"",
        version="0",
        config_now=lambda: nothing,
    )
    app = application(agent)
    served = {
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    if app.openapi_url:
        served.add(f"GET {app.openapi_url}")
    page = text_of("docs/reference/api.md")
    (rows,) = [rows for heading, rows in tables(page) if heading == "Routes"]
    assert [row[0].strip("`") for row in rows if row[0].strip("`") not in served] == []
    assert served - {row[0].strip("`") for row in rows} == set()


# --- tests that are named -------------------------------------------------------------------------


@cache
def known_tests() -> frozenset[str]:
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*/test_*.py"))
    return frozenset(name for text in texts for name in re.findall(r"def (test_\w+)", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))
    assert sorted(set(named) - known_tests()) == []


def test_every_row_of_the_fail_closed_table_names_a_test() -> None:
    ((_, rows),) = tables(text_of("docs/reference/fail-closed.md"))
    assert [when for when, _, shown_by in rows if "`test_" not in shown_by] == []
