"""Rules and scopes about commands of shells: what they refuse, and what they let pass."""

from __future__ import annotations

import pytest

from hoopcore.model import Kind, Principal, Scope, Target
from hoopcore.policy import Facts, Policy, RuleError, Verdict, load
from hoopcore.shell import read
from hoopcore.sql.postgres import read as read_sql

ANA = Principal("p-12345678", Kind.HUMAN, "i", "ana", "ana@shop.example", frozenset({"eng"}))


def facts(scope: str = "*.*:*") -> Facts:
    target = Target("web", "ssh", ())
    return Facts(ANA, target, Scope.parse(scope), "s-12345678")


def rules(*lines: str, verdict: str = "refuse") -> str:
    head = f'[[rule]]\nname = "no"\nreason = "why"\nverdict = "{verdict}"\n'
    return head + "\n".join(lines)


def decide(policy: str, text: str, scope: str = "*.*:*", *, bash: bool = True) -> Verdict:
    bound = Policy.load(policy).bind(facts(scope))
    return bound.decide(read(text.encode(), bash=bash))


@pytest.mark.parametrize(
    ("pattern", "refused", "passes"),
    [
        ("rm", ["rm x", "sudo /bin/rm x", "find / -delete", "x | xargs rm"], ["echo rm", "ls"]),
        ("git push", ["git push", "git -C x push -f", 'git "$x"'], ["git pull", "git status"]),
        ("/opt/*", ["/opt/x/run", "/opt/../opt/run"], ["/usr/opt/x", "opt/run", "run"]),
        ("python*", ["python3.11 x.py"], ["ipython x"]),
        (
            "systemctl stop *",
            ["systemctl stop nginx"],
            ["systemctl status nginx", "systemctl stop"],
        ),
        ("tee", ["ls > x", "ls | tee x"], ["ls > /dev/null"]),
    ],
)
def test_a_rule_speaks_of_commands_however_they_run(
    pattern: str, refused: list[str], passes: list[str]
) -> None:
    policy = rules(f'commands = ["{pattern}"]')
    for text in refused:
        assert not decide(policy, text).allowed, text
    for text in passes:
        assert decide(policy, text).allowed, text


@pytest.mark.parametrize(
    ("pattern", "refused", "passes"),
    [
        (
            "/etc/shadow",
            ["cat /etc/shadow", "cat /etc/sh*", 'cat "$x"', "cp -r /etc x", "cd /etc; cat shadow"],
            ["cat /etc/passwd", "cat shadow", "ls /etc", "echo /etc/shadow", "cat /etc/p*"],
        ),
        (
            "/etc/shadow",  # under another name, below another root, or named in a list
            [
                "ln -s /etc /tmp/z",
                "ln -s / z",
                "mount --bind /etc /mnt",
                "cp -a / x",
                "mv /etc x",
                "chroot /etc cat shadow",
                "sudo -R / cat x",
                "tar cT list",
                "tar -cf x --files-from l",
                "cpio -o",
                "wc --files0-from=l",
                "rsync --files-from=l / x",
                "file -f l",
                "zip -@ x",
            ],
            ["ln -s /etc/hosts x", "mount", "wc -l x", "tar cf x y", "zip x y", "file x"],
        ),
        ("/home/*", ["cat ~/x", "cat /home/a/b"], ["cat /etc/x"]),
        ("~/.ssh/*", ["cat ~/.ssh/id", "cd .ssh; cat id", "cat .ssh/id"], ["cat ~/x"]),
        ("*.pem", ["cat /x/y.pem", "cat ~/y.pem"], ["cat /x/y"]),
    ],
)
def test_a_rule_speaks_of_paths_however_they_are_named(
    pattern: str, refused: list[str], passes: list[str]
) -> None:
    policy = rules(f'paths = ["{pattern}"]')
    for text in refused:
        assert not decide(policy, text).allowed, text
    for text in passes:
        assert decide(policy, text).allowed, text


def test_what_cannot_be_read_is_refused_where_rules_speak_of_commands_and_only_there() -> None:
    assert decide("", "$x").allowed
    refused = decide(rules('commands = ["rm"]'), "$x")
    assert (refused.rule, refused.allowed) == ("no", False)
    assert "cannot be read" in refused.reason
    held = decide(rules('commands = ["rm"]', verdict="hold"), "$x")
    assert (held.rule, held.allowed, held.held) == ("unreadable", False, False)


def test_a_rule_that_holds_holds_commands() -> None:
    policy = rules('commands = ["rm"]', verdict="hold")
    assert decide(policy, "sudo rm x").held
    assert decide(policy, "ls").allowed


def test_a_scope_of_programs_covers_all_that_runs() -> None:
    for text in ("git status", "cd x && git pull", "git status | grep x"):
        assert decide("", text, "git:run grep:run").allowed, text
    assert decide("", "./deploy.sh x", "deploy_sh:run").allowed
    for text in ("id", "git status; id", "git status > x", "sudo git status", "$x", "sh x"):
        assert decide("", text, "git:run grep:run").rule == "scope", text


def test_rules_about_databases_and_about_commands_do_not_meet() -> None:
    about_sql = rules('relations = ["rm"]', 'effects = ["delete"]')
    assert decide(about_sql, "rm x").allowed
    bound = Policy.load(rules('commands = ["rm"]')).bind(facts())
    assert bound.decide(read_sql(b"delete from rm where id = 1")).allowed


@pytest.mark.parametrize(
    "line",
    ['commands = []', 'commands = [" "]', 'paths = ["etc/x"]', 'commands = ["rm"]\nexample = "ls"',
     'paths = ["/x"]\ncounter_example = "cat /x"'],
)  # fmt: skip
def test_what_is_wrong_with_a_rule_is_told(line: str) -> None:
    _, problems = load(rules(line))
    assert problems
    assert all(isinstance(problem, RuleError) for problem in problems)


def test_an_allowance_names_no_commands() -> None:
    text = rules('commands = ["rm"]', 'effects = ["unknown"]', verdict="allow")
    _, problems = load(text)
    assert "a scope allows commands" in problems[0].message
