"""``[[identity.workloads]]``: what is right starts, what is wrong is named by line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoopagent.config_files import check, load
from tests.unit.test_config_files import folder, problems

__all__ = ["folder"]

GOOD = """
[[identity.workloads]]
name = "shop-deploy"
owner = "ana@example.com"
audience = "hoop.shop"
ca_file = "cluster.pem"
claims = { sub = "ci", ref = ["main", "next"], attempt = 1, protected = true }
"""


def written(folder: Path, text: str) -> Path:
    with (folder / "agent.toml").open("a", encoding="utf-8") as file:
        file.write(text)
    return folder


def test_a_workload_is_read_and_its_paths_count_from_the_folder(folder: Path) -> None:
    (workload,) = load(written(folder, GOOD)).identity.workloads
    assert workload.ca_file == folder.resolve() / "cluster.pem"
    assert workload.claims["ref"] == ("main", "next")
    assert workload.claims["attempt"] == 1
    assert (workload.kind, workload.reuse, workload.max_age) == ("service", False, None)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('owner = "ana@example.com"\n', "", '"owner"'),
        ('audience = "hoop.shop"', 'audience = "hoop"', "that of people"),
        ('name = "shop-deploy"', 'name = "Shop deploy"', '"name"'),
        ("attempt = 1", "attempt = 1.5", "a text, a whole number"),
        ("attempt = 1", "attempt = []", "a text, a whole number"),
        ("attempt = 1", "attempt = { a = 1 }", "a text, a whole number"),
        ('claims = { sub = "ci"', 'claim = { sub = "ci"', 'did you mean "claims"'),
        ('name = "shop-deploy"', 'name = "shop-deploy"\nkind = "human"', '"kind"'),
    ],
)
def test_what_is_wrong_with_a_workload_is_named(
    folder: Path, old: str, new: str, words: str
) -> None:
    assert old in GOOD
    found = problems(written(folder, GOOD.replace(old, new)))
    assert found
    assert any(words in problem for problem in found), found
    assert all(problem.startswith("agent.toml:") for problem in found)


def test_no_claims_are_no_workload(folder: Path) -> None:
    text = GOOD[: GOOD.index("claims")] + "claims = {}\n"
    assert any('"claims"' in problem for problem in problems(written(folder, text)))


def test_two_workloads_have_two_names(folder: Path) -> None:
    (found,) = check(written(folder, GOOD + GOOD))[1]
    assert 'two workloads "shop-deploy"' in found.message
    assert found.line > 20


def test_another_issuer_may_have_the_audience_of_people(folder: Path) -> None:
    text = GOOD.replace(
        'audience = "hoop.shop"', 'audience = "hoop"\nissuer = "https://ci.example"'
    )
    assert problems(written(folder, text)) == []
