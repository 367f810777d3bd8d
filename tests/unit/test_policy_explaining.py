"""An explanation says what the verdict is, what was seen, and what nobody told."""

from __future__ import annotations

from dataclasses import replace

from hoopcore.policy import Policy, doubts, explain, surroundings
from hoopcore.sql.postgres import read
from tests.unit.test_policy_index import FACTS

RULES = """
[[rule]]
name = "b-no-delete"
reason = "ask first"
verdict = "refuse"
effects = ["delete"]

[[rule]]
name = "a-no-orders"
reason = "not these"
verdict = "hold"
relations = ["public.orders"]

[[rule]]
name = "loading"
reason = "imports"
verdict = "allow"
effects = ["server_file"]

[[rule]]
name = "for-dba"
reason = "r"
verdict = "refuse"
groups = ["dba"]
"""


def test_an_explanation_is_the_verdict_and_what_it_rests_on() -> None:
    bound = Policy.load(RULES).bind(replace(FACTS, roles=frozenset({"engineer"})), 1)
    reading = read(b"copy t from '/x'; delete from orders returning *")
    told = explain(bound, reading, 1)
    assert (told["verdict"], told["rule"], told["statement"]) == ("refuse", "b-no-delete", 2)
    assert told["elsewhere"] == ["for-dba"]
    assert told["not_known"] == ["priorities", "address"]
    copy, delete = told["statements"]
    assert (copy["verdict"], copy["rule"], copy["matching"]) == (
        "allow",
        "loading",
        ["loading (allow)"],
    )
    assert delete["matching"] == ["a-no-orders (hold)", "b-no-delete (refuse)"]
    assert delete["relations"] == ["*.orders:delete", "*.orders:read"]
    assert (delete["missing_where"], delete["whole_rows"]) == (["delete"], True)


def test_what_is_allowed_names_no_statement() -> None:
    told = explain(Policy.load(RULES).bind(FACTS), read(b"select 1"))
    assert (told["verdict"], told["statement"], told["hint"]) == ("allow", None, "")
    assert told["not_known"] == ["roles", "priorities", "address", "at"]


def test_names_that_no_other_file_has_are_doubted() -> None:
    around = surroundings(
        "[targets.prod-db]\nlabels = { env = 'prod' }", "[roles.dba]\ngroups=['d']"
    )
    text = (
        RULES
        + 'targets = ["stag?-*", "prod-*"]\nlabels = { env = "prof", x = "*" }\nroles = ["dbb"]\n'
    )
    told = {(one.key, one.message) for one in doubts(Policy.load(text), around)}
    words = " ".join(message for _, message in told)
    assert "prod-*" not in words
    assert 'no target is called "stag?-*"' in words
    assert 'no target has the label env = "prof"' in words
    assert 'no target has the label x = "*"' in words
    assert 'no role is called "dbb"; did you mean "dba"?' in words
    assert 'names the group "dba"' in words
