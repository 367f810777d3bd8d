"""Rules on files that SFTP, scp and rsync carry: what they match and watch, how they load."""

from __future__ import annotations

import pytest

from hoopcore.command import ACTIONS, Command, Shell, Text, Transfer
from hoopcore.model import EVERYTHING, Kind, Principal, Scope, Target
from hoopcore.policy import Facts, FileRules, Policy, Surroundings, Verdict, doubts, load
from hoopcore.policy.deciding import decide
from hoopcore.protocols.sftp import OPENING
from hoopcore.shell import read
from hoopcore.statement import Effect, Reading, Statement
from hoopcore.transfers import doing

RULE = """
[[rule]]
name = "r"
verdict = "{verdict}"
reason = "no"
{more}
"""


def policy(*more: str, verdict: str = "refuse") -> Policy:
    return Policy.load(RULE.format(verdict=verdict, more="\n".join(more)))


def facts(scope: str = "") -> Facts:
    principal = Principal("p", Kind.HUMAN, "issuer", "ana")
    target = Target("web", "ssh", ())
    return Facts(principal, target, Scope.parse(scope) if scope else EVERYTHING, "s")


def verdict(rules: Policy, statement: Statement, scope: str = "") -> Verdict:
    return decide(rules, facts(scope), Reading((statement,)))


def one(action: str, path: str = "/srv/x", size: int | None = None, *found: str) -> Statement:
    return doing("sftp", Transfer(action, (Text(path),), size, frozenset(found)))


def test_a_rule_names_directions() -> None:
    rules = policy('transfers = ["upload", "remove"]')
    for action in ACTIONS:
        assert verdict(rules, one(action)).allowed is (action not in ("upload", "remove"))


def test_a_rule_on_paths_holds_for_commands_and_files_alike() -> None:
    rules = policy('paths = ["/etc/*"]')
    assert not verdict(rules, one("look", "/etc/shadow")).allowed
    assert not verdict(rules, read(b"cat /etc/shadow").statements[0]).allowed
    only = policy('paths = ["/etc/*"]', 'transfers = ["download"]')
    assert not verdict(only, one("download", "/etc/shadow")).allowed
    assert verdict(only, one("look", "/etc/shadow")).allowed
    assert verdict(only, read(b"cat /etc/shadow").statements[0]).allowed


def test_a_rule_on_paths_and_one_direction_wants_both_of_the_same_file() -> None:
    rules = policy('paths = ["/etc/*"]', 'transfers = ["upload"]')
    both = doing(
        "rsync",
        Transfer("download", (Text("/etc/x"),)),
        Transfer("upload", (Text("/srv/x"),)),
    )
    assert verdict(rules, both).allowed


def test_a_rule_on_sizes_waits_until_one_is_known() -> None:
    rules = policy('larger_than = "1 KiB"')
    assert verdict(rules, one("download")).allowed
    assert verdict(rules, one("download", "/x", 1024)).allowed
    assert not verdict(rules, one("download", "/x", 1025)).allowed
    bound = rules.bind(facts())
    watch = FileRules(lambda: bound).watch(one("upload"))
    assert (watch.largest, watch.words) == (1024, 'refused by rule "r": no')


def test_a_rule_on_what_is_found_has_a_sample_looked_through() -> None:
    bound = policy('containing = ["card"]', 'paths = ["/srv/*"]').bind(facts())
    files = FileRules(lambda: bound)
    assert files.watch(one("download")).kinds == {"card"}
    assert not files.watch(one("download", "/tmp/x"))
    samples = (b"nothing", b"card: 4111 1111 1111 1111\n")
    assert files.found(samples, frozenset({"card"})) == {"card"}
    assert not files.found(samples[:1], frozenset({"card"}))
    assert files.refuses(one("download", "/srv/x", 10, "card"))


def test_what_is_held_may_be_looked_at() -> None:
    held = policy('paths = ["/etc/*"]', verdict="hold").bind(facts())
    assert not FileRules(lambda: held).refuses(one("look", "/etc/x"))
    refused = policy('paths = ["/etc/*"]').bind(facts())
    assert FileRules(lambda: refused).refuses(one("look", "/etc/x"))


def test_what_carries_files_that_nobody_asks_for_may_carry_any() -> None:
    rules = policy('transfers = ["upload"]')
    for text in (b"scp -t /srv", b"sudo rsync --server . /srv", b"/usr/lib/openssh/sftp-server"):
        assert not verdict(rules, read(text).statements[0]).allowed
    carried = Statement(
        frozenset({Effect.RUN}), shell=Shell((Command("scp"),), (Text("/srv"),), carried=True)
    )
    assert verdict(rules, carried).allowed
    assert verdict(rules, read(b"ls /srv").statements[0]).allowed
    assert verdict(rules, OPENING).allowed


def test_a_rule_on_files_leaves_shells_and_rules_on_commands_know_sftp() -> None:
    shell = Statement(frozenset({Effect.RUN, Effect.UNKNOWN}), shell=Shell())
    assert verdict(policy('transfers = ["upload"]'), shell).allowed
    assert not verdict(policy('commands = ["rm"]'), shell).allowed
    assert verdict(policy('commands = ["rm"]'), OPENING).allowed
    assert not verdict(policy('commands = ["sftp"]'), OPENING).allowed
    assert not verdict(policy('commands = ["sftp remove"]'), one("remove")).allowed


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("sftp:run", {"download", "list", "upload", "remove", "look"}),
        ("sftp:download", {"download", "list", "look"}),
        ("sftp:upload", {"upload", "remove", "list", "look"}),
        ("sftp:list", {"list", "look"}),
        ("git:run", set()),
        ("scp:run", set()),
    ],
)
def test_a_scope_says_what_sftp_may_do(scope: str, allowed: set[str]) -> None:
    for action in ("download", "list", "upload", "remove", "look"):
        assert verdict(Policy.load(""), one(action), scope).allowed is (action in allowed)
    assert verdict(Policy.load(""), OPENING, scope).allowed is bool(allowed)


def test_examples_are_of_transfers() -> None:
    policy(
        'transfers = ["download"]',
        'larger_than = "10 MiB"',
        'paths = ["/srv/*"]',
        'example = { transfer = "download /srv/a/../dump", size = "11 MiB" }',
        'counter_example = ["download /srv/x", { transfer = "upload /srv/x", size = "1 GiB" }]',
    )
    policy('containing = ["card"]', 'example = { transfer = "download /x", found = ["card"] }')
    policy('transfers = ["rename"]', 'paths = ["/b"]', 'example = "rename /a to /b"')
    for wrong in ('"/srv/x"', '"download srv"', '"steal /x"', '{ sql = "select 1" }'):
        _, problems = load(
            RULE.format(verdict="refuse", more=f'transfers = ["download"]\nexample = {wrong}')
        )
        assert problems, wrong


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('transfers = ["downlod"]', 'unknown transfer "downlod"; did you mean "download"?'),
        ('containing = ["cards"]', 'unknown detector "cards"'),
        ("larger_than = 0", "whole number from 1 on"),
        ('larger_than = "10MB"', '"64 MiB"'),
        ("transfers = []", "list of texts"),
    ],
)
def test_a_wrong_value_says_what_is_right(more: str, words: str) -> None:
    _, (problem, *_) = load(RULE.format(verdict="refuse", more=more))
    assert words in str(problem)


def test_an_allowance_of_files_is_a_scope() -> None:
    text = RULE.format(verdict="allow", more='effects = ["unknown"]\ntransfers = ["download"]')
    _, (problem,) = load(text)
    assert "a scope allows" in str(problem)


def test_rules_that_never_match_are_doubted() -> None:
    around = Surroundings()
    (doubt,) = doubts(policy('transfers = ["upload"]', 'containing = ["card"]'), around)
    assert doubt.key == "containing"
    (doubt,) = doubts(policy('transfers = ["list"]', "larger_than = 5"), around)
    assert doubt.key == "larger_than"
