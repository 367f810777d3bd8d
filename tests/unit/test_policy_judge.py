"""In the agent: hours pass while a session stays, and what a door says of its client."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hoopagent import config
from hoopagent.circumstances import address_in
from hoopagent.config_files import check
from hoopagent.judge import Judge
from hoopcore.masking import Masking
from hoopcore.policy import LOCAL, Policy
from hoopcore.sql.postgres import read
from hoopcore.stream import Ask, AskKind
from tests.unit.test_policy_index import FACTS

NIGHT = """
[[rule]]
name = "night"
reason = "nobody is awake"
verdict = "refuse"
effects = ["delete"]
times = ["22:00-06:00 UTC"]
"""
HOUR = 3_600_000_000
MIDNIGHT = 1_780_012_800_000_000
ASK = Ask(seq=1, kind=AskKind.TEXT, text=b"delete from t", trusted=True)


def test_a_verdict_that_hangs_on_the_hour_does_not_outlive_it() -> None:
    now = [MIDNIGHT + 21 * HOUR]
    judge = Judge(Policy.load(NIGHT), FACTS, Masking().bind(None), lambda: now[0])
    reading = read(b"delete from t")
    for hours, allowed in ((21, True), (22, False), (29, False), (30, True), (46, False)):
        now[0] = MIDNIGHT + hours * HOUR
        for _ in range(2):
            assert judge.judge(ASK, reading).allowed is allowed


def test_without_a_clock_every_hour_is_night() -> None:
    judge = Judge(Policy.load(NIGHT), FACTS, Masking().bind(None))
    assert judge.judge(ASK, read(b"delete from t")).rule == "night"


def test_a_clock_that_fails_refuses() -> None:
    def broken() -> Any:
        raise OSError

    judge = Judge(Policy.load(NIGHT), FACTS, Masking().bind(None), broken)
    assert judge.judge(ASK, read(b"select 1")).rule == "policy-error"


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("unix uid 1000 pid 4711", LOCAL),
        ("127.0.0.1:50412", "127.0.0.1"),
        ("[2001:db8::1]:50412", "2001:db8::1"),
        ("10.1.2.3", "10.1.2.3"),  # as the SSH door says it
        ("2001:db8::1:2", "2001:db8::1:2"),  # and not 2001:db8::1, which is somebody else's
        ("unknown:0", None),
        ("", None),
    ],
)
def test_an_address_is_what_a_door_says_or_nothing(origin: str, address: str | None) -> None:
    assert address_in(origin) == address


@pytest.mark.parametrize(
    ("entry", "line", "said"),
    [
        ('[[budget]]\nname = "b"\nreason = "r"\nrows = 5\non_reaching = "stop"\n', 13, "stop"),
        ('[[impose]]\nname = "i"\nreason = "r"\nreadonly = true\n', 12, "readonly"),
        ('[[rule]]\nname = "x"\nreason = "r"\nverdict = "refuse"\nefects = []\n', 13, "efects"),
    ],
)
def test_an_agent_does_not_start_with_what_it_does_not_understand(
    tmp_path: Path, entry: str, line: int, said: str
) -> None:
    for path in (Path(config.__file__).parent / "example").glob("*.toml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "rules.toml").write_text(NIGHT + "\n" + entry)
    _, problems = check(tmp_path)
    (problem,) = [one for one in problems if one.file == "rules.toml"]
    assert (problem.line, said in problem.message) == (line, True)
