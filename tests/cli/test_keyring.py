"""``hoop login`` to ``hoop logout`` with a real Secret Service: gnome-keyring, on its own bus."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile_provider import HostileProvider, running_provider
from tests.servers import missing, private_folder
from tests.signing import Desk, running_desk

# What a person does, in one session of a desktop.  This provider needs nobody at its page.
LIFE = """
set -u
hoop login --no-browser || exit 11
hoop status -o json || exit 12
{python} - <<'END'
import dataclasses, time
from hoopcli import credentials, signin
here = signin.session()
kept = here.credentials()
print(here.vault.kind)
aged = dataclasses.replace(kept, issued=time.time() - 3600, expires=time.time() + 10)
here.vault.save(here.pin.host_key, aged.to_text())
END
hoop status -o names || exit 13
{python} -c '
from hoopcli import signin; import time
kept = signin.session().credentials()
print("renewed" if kept.expires > time.time() + 600 else "not renewed")'
{locking}
hoop status -o names; echo "status $?"
hoop logout; echo "logout $?"
secret-tool search --all service hoop 2>&1 | grep -c label
exit 0
"""

UNLOCKED = "printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1\n"
LOCKED = "gnome-keyring-daemon --start --components=secrets >/dev/null 2>&1\n"
LOCK = """dbus-send --session --print-reply --dest=org.freedesktop.secrets \\
  /org/freedesktop/secrets org.freedesktop.Secret.Service.Lock \\
  array:objpath:/org/freedesktop/secrets/collection/login >/dev/null"""


@pytest.fixture
def desk() -> Iterator[tuple[Desk, HostileProvider]]:
    with (
        running_provider() as provider,
        private_folder() as folder,
        running_desk(folder, provider.issuer) as desk,
    ):
        yield desk, provider


def in_a_session(desk: Desk, script: str, **changes: str) -> subprocess.CompletedProcess[str]:
    for program, package in (
        ("dbus-run-session", "dbus-daemon"),
        ("gnome-keyring-daemon", "gnome-keyring"),
        ("secret-tool", "libsecret-tools"),
        ("dbus-send", "dbus-bin"),
    ):
        if shutil.which(program) is None:
            missing(program, f"apt-get install {package}")
    own = desk.folder / "session"
    own.mkdir(mode=0o700, exist_ok=True)
    kept = {k: v for k, v in desk.environ.items() if k not in ("HOOP_KEYRING", "HOOP_PASSPHRASE")}
    here = {"HOME": str(own), "XDG_RUNTIME_DIR": str(own), "XDG_DATA_HOME": str(own)}
    hoop = f'hoop() {{ {sys.executable} -m hoopcli "$@"; }}\n'
    return subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", hoop + script],
        env=kept | here | changes,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def files(desk: Desk) -> set[str]:
    return {path.name for path in (desk.folder / "home").rglob("*") if path.is_file()}


def test_a_sign_in_lives_in_the_keyring_from_login_to_logout(
    desk: tuple[Desk, HostileProvider],
) -> None:
    here, provider = desk
    script = UNLOCKED + LIFE.format(python=sys.executable, locking="")
    done = in_a_session(here, script)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "kept in: Secret Service" in done.stderr
    assert "Secret Service" in lines
    assert "renewed" in lines
    assert lines[-3:] == ["status 0", "logout 0", "0"]  # nothing of ours is left in it
    assert provider.count("/revoke") == 1
    assert files(here) <= {"profile.toml", "lock"}


def test_a_keyring_that_is_locked_later_is_said_and_is_not_a_sign_out(
    desk: tuple[Desk, HostileProvider],
) -> None:
    here, provider = desk
    script = UNLOCKED + LIFE.format(python=sys.executable, locking=LOCK)
    done = in_a_session(here, script)
    lines = done.stdout.splitlines()
    assert "status 3" in lines, (done.stdout, done.stderr)
    assert "the keyring (Secret Service) did not give your sign-in" in done.stderr
    assert "HOOP_KEYRING=off" in done.stderr
    assert provider.count("/revoke") == 0


def test_a_locked_keyring_is_said_and_a_passphrase_asked_for_or_nothing_is_kept(
    desk: tuple[Desk, HostileProvider],
) -> None:
    here, _ = desk
    refused = in_a_session(here, LOCKED + "hoop login --no-browser")
    assert refused.returncode == 3
    assert "it is locked" in refused.stderr
    assert "HOOP_PASSPHRASE" in refused.stderr
    assert "Code:" not in refused.stderr
    assert files(here) == set()
    done = in_a_session(here, LOCKED + "hoop login --no-browser", HOOP_PASSPHRASE="correct horse")
    assert done.returncode == 0, done.stderr
    assert "it is locked" in done.stderr
    assert "kept in: encrypted file" in done.stderr
    assert Path(here.folder / "home" / "credentials").exists()
