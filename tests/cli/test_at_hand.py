"""The token at hand: what the kernel keeps of it, for whom, and until when."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoopcli import at_hand, profile
from hoopcli.at_hand import Kept
from tests.e2e import somebody

AGENT = "/run/hoop"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file the token is kept for, and settings of this test's own."""
    monkeypatch.setenv("HOOP_HOME", str(tmp_path))
    monkeypatch.delenv("HOOP_AT_HAND", raising=False)
    path = tmp_path / "vault"
    path.write_text("sealed")
    at_hand.keep("", kept(), [str(path)])
    if at_hand.find("") is None:
        pytest.skip("this kernel has no keyring for us, and so nothing is at hand")
    yield path
    at_hand.drop(["", AGENT])


def kept(span: float = 3000, token: str = "token-of-ada") -> Kept:
    return Kept(AGENT, f"{AGENT}/api.sock", 0, token, time.time() + span)


def token(label: str = "") -> str | None:
    found = at_hand.find(label)
    return None if found is None else found.token


def line_of(folder: Path) -> str:
    """What the kernel shows of it; it never shows what is in it."""
    lines = Path("/proc/keys").read_text().splitlines()
    return next(line for line in lines if f"hoop:{folder}:" in line)


def test_what_is_kept_comes_back_until_it_is_dropped(file: Path) -> None:
    found = at_hand.find("")
    assert found is not None
    assert (found.name, found.token, found.owner) == (AGENT, "token-of-ada", 0)
    at_hand.keep("", kept(token="newer"), [str(file)])
    assert token() == "newer"
    at_hand.drop([""])
    assert token() is None


def test_it_counts_no_more_when_a_file_was_written_since(file: Path) -> None:
    file.write_text("sealed anew")
    assert token() is None


def test_it_counts_no_more_when_a_file_is_gone_or_another(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("sealed")
    os.replace(other, file)
    assert token() is None
    file.unlink()
    assert token() is None


def test_it_lasts_a_quarter_of_an_hour_and_never_beyond_the_token(
    file: Path, tmp_path: Path
) -> None:
    assert line_of(tmp_path).split()[3] in ("15m", "14m")
    at_hand.keep("", kept(50), [str(file)])
    assert line_of(tmp_path).split()[3].endswith("s")
    at_hand.keep("", kept(-1), [str(file)])  # is not kept; the one before is, for its seconds
    assert token() == "token-of-ada"
    at_hand.drop([""])
    at_hand.keep("", kept(0.5), [str(file)])
    assert token() is None


def test_settings_and_agents_do_not_share(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert token(AGENT) is None
    monkeypatch.setenv("HOOP_HOME", str(tmp_path / "other"))
    assert token() is None


@pytest.mark.parametrize("value", ["off", "0", "no"])
def test_it_can_be_switched_off(file: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HOOP_AT_HAND", value)
    assert token() is None


@pytest.mark.parametrize("wrong", ["a\nb", "t\n" * 9])
def test_what_would_be_read_as_more_lines_is_not_kept(file: Path, wrong: str) -> None:
    at_hand.drop([""])
    at_hand.keep("", kept(token=wrong), [str(file)])
    assert token() is None


def test_what_somebody_else_put_there_is_not_read(file: Path) -> None:
    key = at_hand._key("")
    assert key is not None
    for text in (
        b"-",
        b"hoop 2\n" + b"x\n" * 8,
        b"hoop 1\na\nb\nno number\nc\nd",
        b"\xff" * 99,
    ):
        at_hand._call(at_hand._UPDATE, key, text, len(text))
        assert at_hand.find("") is None


def test_the_settings_are_where_everything_else_looks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("nothing is kept here")
    for name, value in (("HOOP_HOME", "x"), ("XDG_CONFIG_HOME", str(tmp_path)), ("HOME", "/h")):
        for other in ("HOOP_HOME", "XDG_CONFIG_HOME"):
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv(name, value)
        assert at_hand.home() == str(profile.home())


# A process that possesses our user keyring and becomes somebody else, which is what a session
# keyring does behind su.  It prints what it can read of each key that is named.
PROBE = """
import os, sys
from hoopcli import at_hand
assert at_hand._call(1, None) is not None
assert at_hand._call(8, -4, -3) is not None
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
for name in sys.argv[2:]:
    found = at_hand._call(10, -3, b"user", name.encode(), 0)
    print(name, "" if found is None else at_hand._payload(found))
for key in map(int, sys.stdin.read().split()):
    print(key, at_hand._payload(key))
"""


def test_no_other_uid_reads_it_even_with_our_keyring_in_its_session(
    file: Path, tmp_path: Path
) -> None:
    uid = somebody.uid()
    key = at_hand._key("")
    assert key is not None
    control = at_hand._call_add(b"hoop test of possession", b"seen")
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE, str(uid), f"hoop:{tmp_path}:", "hoop test of possession"],
            input=str(key),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    finally:
        at_hand._call(at_hand._UNLINK, control, at_hand._USER_KEYRING)
    ours, other, by_number = done.stdout.splitlines()
    assert other == "hoop test of possession seen"  # the probe can do it
    assert ours == f"hoop:{tmp_path}: "
    assert by_number == f"{key} None"
