"""Where tokens are kept: probes, an encrypted file, and a real Secret Service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hoopcli import credentials
from hoopcli.credentials import Credentials, FileVault
from hoopcli.errors import Failure, NotSignedIn
from hoopcli.profile import write_private
from tests.servers import missing


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOOP_HOME", str(tmp_path))
    monkeypatch.setenv("HOOP_KEYRING", "off")
    monkeypatch.setenv("HOOP_PASSPHRASE", "correct horse")
    tmp_path.chmod(0o700)
    return tmp_path


def test_a_file_gives_back_what_was_put_in(home: Path) -> None:
    vault = FileVault(home / "credentials")
    assert vault.load("one") is None
    vault.save("one", "secret ⟦text⟧")
    vault.save("two", "other")
    assert FileVault(home / "credentials").load("one") == "secret ⟦text⟧"
    vault.delete("one")
    vault.delete("one")
    assert (vault.load("one"), vault.load("two")) == (None, "other")


def test_a_file_is_private_and_says_nothing(home: Path) -> None:
    FileVault(home / "credentials").save("one", "secret text")
    (file,) = (home / "credentials").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"secret" not in file.read_bytes()


def test_one_agents_file_cannot_stand_in_for_anothers(home: Path) -> None:
    vault = FileVault(home / "credentials")
    vault.save("one", "secret")
    (file,) = (home / "credentials").iterdir()
    file.rename(vault.file("two"))
    with pytest.raises(NotSignedIn):
        vault.load("two")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"scrypt": {"n": 1 << 40, "r": 8, "p": 1}},
        {"scrypt": {"n": 3, "r": 8, "p": 1}},
        {"salt": "!!!"},
        {"box": ""},
        {"box": None},
    ],
)
def test_a_changed_file_is_refused(home: Path, change: dict[str, Any]) -> None:
    vault = FileVault(home / "credentials")
    vault.save("one", "secret")
    path = vault.file("one")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(NotSignedIn):
        vault.load("one")
    path.write_bytes(b"\xff\x00")
    with pytest.raises(NotSignedIn):
        vault.load("one")


def test_nothing_is_kept_where_others_can_write(home: Path) -> None:
    home.chmod(0o770)
    with pytest.raises(Failure, match="not yours alone"):
        write_private(home / "profile.toml", b"")


def test_without_a_terminal_or_a_passphrase_nothing_is_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOP_PASSPHRASE")
    with pytest.raises(Failure, match="no passphrase"):
        credentials.choose()
    assert list(home.iterdir()) == []


class Fake:
    """A keyring backend that may be locked, forgetful or stubborn."""

    viable = True
    fault = ""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def set_password(self, service: str, name: str, text: str) -> None:
        if self.fault == "locked":
            raise RuntimeError("locked")
        self.kept[service, name] = text

    def get_password(self, service: str, name: str) -> str | None:
        return None if self.fault == "forgetful" else self.kept.get((service, name))

    def delete_password(self, service: str, name: str) -> None:
        if self.fault != "stubborn":
            del self.kept[service, name]


@pytest.mark.parametrize("fault", ["", "locked", "forgetful", "stubborn"])
def test_a_keyring_is_used_only_if_it_keeps_gives_back_and_loses(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    backend = Fake()
    backend.fault = fault
    monkeypatch.setenv("HOOP_KEYRING", "")
    monkeypatch.setattr(credentials, "_backend", lambda *_: backend)
    kind = credentials.choose().kind
    assert kind == ("encrypted file" if fault else "Secret Service")
    if not fault:
        assert backend.kept == {}  # the probe leaves nothing


def test_only_backends_that_encrypt_are_tried() -> None:
    modules = {module for module, _, _ in credentials.BACKENDS}
    assert not any("alt" in module or "null" in module or "plain" in module for module in modules)


def test_credentials_of_another_version_are_no_credentials() -> None:
    kept = Credentials("p-1", "ana", ("a",), "t", 1, 2, 3, "k", "c", "r", ("o",))
    assert Credentials.from_text(kept.to_text()) == kept
    more = json.dumps(json.loads(kept.to_text()) | {"later": 1})
    assert Credentials.from_text(more) == kept
    for text in ("", "[]", "{}", '{"principal": 1, "token": 2, "expires": 3}'):
        with pytest.raises(ValueError, match=r"."):
            Credentials.from_text(text)


SECRET_SERVICE = """
from hoopcli import credentials
vault = credentials.choose()
print(vault.kind)
vault.save("one", "secret " * 500)
print(credentials.reopen(vault.kind).load("one") == "secret " * 500)
vault.delete("one"); vault.delete("one")
print(vault.load("one"))
"""


def in_a_session(script: str, *, unlocked: bool) -> str:
    """Runs Python on a D-Bus session of its own with gnome-keyring."""
    for program, package in (
        ("dbus-run-session", "dbus-daemon"),
        ("gnome-keyring-daemon", "gnome-keyring"),
    ):
        if shutil.which(program) is None:
            missing(program, f"apt-get install {package}")
    home = os.environ["HOOP_HOME"]
    start = "printf pw | gnome-keyring-daemon --unlock --components=secrets"
    if not unlocked:
        start = "gnome-keyring-daemon --start --components=secrets"
    words = f"{start} >/dev/null 2>&1; exec {sys.executable} -c '{script}'"
    environ = {
        "HOME": home,
        "XDG_RUNTIME_DIR": home,
        "PATH": os.environ["PATH"],
        "HOOP_HOME": f"{home}/hoop",
        "HOOP_PASSPHRASE": "correct horse",
    }
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", words],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_a_real_secret_service_keeps_the_sign_in() -> None:
    assert in_a_session(SECRET_SERVICE, unlocked=True).splitlines() == [
        "Secret Service",
        "True",
        "None",
    ]


def test_a_locked_secret_service_is_passed_over() -> None:
    script = "from hoopcli import credentials; print(credentials.choose().kind)"
    assert in_a_session(script, unlocked=False).splitlines() == ["encrypted file"]
