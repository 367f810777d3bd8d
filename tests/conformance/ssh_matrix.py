"""What people do on a host, with which client: each a cell, run straight and through the gate.

A cell gets a ``Place`` and gives what a person or a program could tell: bytes, exit statuses, words
on stderr, files.  It also says for itself whether it worked, so that two failures are no agreement.
``python -m tests.conformance.ssh_matrix > docs/reference/ssh-clients.md`` writes the table.

Order of the file: places, one section a client, the table.
"""

# ruff: noqa: E501 - the page has longer lines

from __future__ import annotations

import asyncio
import hashlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pexpect

from tests.e2e.ssh_world import stock

Outcome = dict[str, object]
PATIENCE = 30
DATA = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(50_000))  # 1.6 MB


@dataclass(frozen=True)
class Place:
    """How to come to the host."""

    name: str  # direct or gate
    port: int
    user: str
    key: Path
    host_key: str
    folder: Path  # of one's own; what is in ``there`` is on the host
    certificate: Path | None = None
    signed_in: Path | None = None  # a key that somebody has signed in with, without certificate

    @property
    def there(self) -> Path:
        found = self.folder / "there"
        found.mkdir(exist_ok=True, parents=True)
        return found

    @property
    def here(self) -> Path:
        found = self.folder / "here"
        found.mkdir(exist_ok=True, parents=True)
        return found

    @property
    def config(self) -> Path:
        """What OpenSSH, and all that runs it, is told: the host is called ``web``."""
        known = self.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")
        lines = [
            "Host web",
            "HostName 127.0.0.1",
            f"Port {self.port}",
            f"User {self.user}",
            f"IdentityFile {self.key}",
            *([f"CertificateFile {self.certificate}"] if self.certificate else []),
            "IdentitiesOnly yes",
            "IdentityAgent none",
            f"UserKnownHostsFile {known}",
            "StrictHostKeyChecking yes",
            "BatchMode yes",
            "LogLevel ERROR",
        ]
        path = self.folder / "config"
        path.write_text("\n    ".join(lines) + "\n")
        return path

    def run(
        self, *words: str, stdin: bytes = b"", environ: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            words,
            input=stdin,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            cwd=self.here,
            env=os.environ | {"HOME": str(self.folder), "TERM": "xterm"} | (environ or {}),
        )

    def told(self, done: subprocess.CompletedProcess[bytes]) -> Outcome:
        """Both streams and the status, without what names the place."""
        return {
            "status": done.returncode,
            "out": self.neutral(done.stdout),
            "err": self.neutral(done.stderr),
        }

    def neutral(self, text: bytes) -> bytes:
        return text.replace(str(self.folder).encode(), b"FOLDER")


def tree(folder: Path) -> dict[str, object]:
    """Every file of it: mode, time and content."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            int(path.stat().st_mtime) if path.is_file() else 0,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
    }


def planted(folder: Path) -> Path:
    """Files of several kinds, always the same ones."""
    root = folder / "tree"
    (root / "sub dir").mkdir(parents=True)
    (root / "plain").write_text("text\n")
    (root / "empty").touch()
    (root / "sub dir" / "big").write_bytes(DATA)
    (root / "sub dir" / "ünï 'quoted'").write_text("x")
    (root / "plain").chmod(0o640)
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, (1_700_000_000 + number,) * 2)
    return root


Run = Callable[[Place], Outcome]


@dataclass(frozen=True)
class Cell:
    client: str
    what: str
    run: Run
    long: bool = False  # takes many seconds: only under HOOP_LONG


CELLS: list[Cell] = []


def cell(client: str, what: str, *, long: bool = False) -> Callable[[Run], Run]:
    def add(run: Run) -> Run:
        CELLS.append(Cell(client, what, run, long))
        return run

    return add


# --- OpenSSH --------------------------------------------------------------------------------------


def ssh(place: Place, *words: str, stdin: bytes = b"", more: tuple[str, ...] = ()) -> Outcome:
    full = (stock("ssh"), "-F", str(place.config), *more, "web", *words)
    return place.told(place.run(*full, stdin=stdin))


@cell("ssh", "stdout, stderr, exit status")
def _(place: Place) -> Outcome:
    found = ssh(place, "echo out; echo err >&2; exit 7")
    assert (found["out"], found["status"]) == (b"out\n", 7)
    return found


@cell("ssh", "1.6 MB in and out, end of input")
def _(place: Place) -> Outcome:
    found = ssh(place, "cat; echo end >&2", stdin=DATA)
    assert found["out"] == DATA
    return found


@cell("ssh", "a command ended by a signal")
def _(place: Place) -> Outcome:
    found = ssh(place, "kill -TERM $$")
    assert found["status"] == 255
    return found


@cell("ssh", "a program that is not there")
def _(place: Place) -> Outcome:
    found = ssh(place, "no-such-program")
    assert found["status"] == 127
    return found


@cell("ssh", "a reader that stops reading", long=True)  # on a busy machine it takes its time
def _(place: Place) -> Outcome:
    full = f"timeout 25 {stock('ssh')} -F {place.config} web yes | head -c 1000000 | sha256sum"
    found = place.told(place.run("bash", "-c", f"{full}; echo ${{PIPESTATUS[0]}}"))
    assert not bytes(str(found["out"]), "ascii").endswith(b"124\\n'")
    return found


@cell("ssh", "a command in a terminal (-tt)")
def _(place: Place) -> Outcome:
    found = ssh(place, "tty | tr -d 0-9; echo err >&2; exit 3", more=("-tt",))
    assert (found["out"], found["status"]) == (b"/dev/pts/\r\nerr\r\n", 3)
    return found


@cell("ssh", "a shell: keys, size, Ctrl-C, Ctrl-D")
def _(place: Place) -> Outcome:
    child = pexpect.spawn(
        stock("ssh"), ["-F", str(place.config), "web"], dimensions=(33, 99), timeout=PATIENCE,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    child.sendline("PS1='p''>'; PS0=; bind 'set enable-bracketed-paste off'")
    child.expect_exact(b"p>")
    child.sendline("stty size; echo $TERM")
    child.expect_exact(b"p>")
    found: Outcome = {"size": child.before}
    assert b"33 99" in child.before
    child.setwinsize(44, 88)
    child.sendline("until stty size | grep '44 88'; do :; done")
    child.expect_exact(b"p>")
    child.sendline("sh -c 'echo be''gun; exec sleep 100'")
    child.expect_exact(b"begun")  # before that, Ctrl-C would be the shell's
    child.sendintr()
    child.expect_exact(b"p>")
    found["interrupted"] = child.before
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    found["status"] = (child.exitstatus, child.signalstatus)
    return found


@cell("ssh", "who is killed ends what reads from them")
def _(place: Place) -> Outcome:
    mark = place.there / "ended"
    full = (stock("ssh"), "-F", str(place.config), "web", f"echo begun; cat; touch {mark}")
    with subprocess.Popen(full, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGKILL)
    return {"ended": appeared(mark)}


@cell("ssh", "who is killed hangs their terminal up")
def _(place: Place) -> Outcome:
    mark = place.there / "ended"
    # What it says of itself is said by a file: its terminal is gone by then.
    text = f"trap 'touch {mark}; exit' HUP; echo begun; while :; do sleep 0.1; done"
    full = (stock("ssh"), "-F", str(place.config), "-tt", "web", text)
    with subprocess.Popen(full, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\r\n"
        process.send_signal(signal.SIGKILL)
    return {"ended": appeared(mark)}


def appeared(mark: Path) -> bool:
    end = time.monotonic() + PATIENCE
    while not mark.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    return True


@cell("ssh", "several at once on one connection (ControlMaster)")
def _(place: Place) -> Outcome:
    socket = place.folder / "s"
    shared = ("-o", f"ControlPath={socket}", "-o", "ControlMaster=auto")
    config = ("-F", str(place.config), *shared)
    with subprocess.Popen((stock("ssh"), *config, "-N", "web")) as master:
        appeared(socket)
        found: Outcome = {
            str(number): ssh(place, f"echo {number}; exit {number}", more=shared)
            for number in range(3)
        }
        place.run(stock("ssh"), *config, "-O", "exit", "web")
        master.wait(PATIENCE)
    assert [one["status"] for one in found.values() if isinstance(one, dict)] == [0, 1, 2]
    return found


def copied(place: Place, *way: str) -> Outcome:
    """A tree there and back again by scp, and what is not there."""
    source, config = planted(place.here), ("-F", str(place.config), *way)
    there, back = place.there / "copy", place.here / "back"
    up = place.run(stock("scp"), *config, "-rp", str(source), f"web:{there}")
    down = place.run(stock("scp"), *config, "-rp", f"web:{there}", str(back))
    missing = place.run(stock("scp"), *config, f"web:{there}/none", str(back / "none"))
    assert (up.returncode, down.returncode, missing.returncode) == (0, 0, 1), (up, down, missing)
    assert tree(there) == tree(source) == tree(back)
    return {
        "up": place.told(up),
        "down": place.told(down),
        "missing": place.told(missing),
        "tree": tree(back),
    }


@cell("scp -O", "a tree there and back, a file that is not there")
def _(place: Place) -> Outcome:
    return copied(place, "-O")


@cell("scp", "a tree there and back by SFTP, a file that is not there")
def _(place: Place) -> Outcome:
    return copied(place)


@cell("sftp", "put, get, list, rename, mode, remove, what is not there; a batch")
def _(place: Place) -> Outcome:
    source, there = planted(place.here), place.there
    batch = place.folder / "batch"
    batch.write_text(
        f"mkdir {there}/dir\nput -rp {source} {there}/dir/tree\n"
        f"rename {there}/dir/tree/plain {there}/dir/tree/named\nchmod 600 {there}/dir/tree/named\n"
        f"symlink named {there}/dir/tree/link\nls -1 {there}/dir/tree\n"
        f"get -rp {there}/dir/tree back\n-get {there}/none none\n-rm {there}/none\n"
        f"rm {there}/dir/tree/empty\ndf {there}\n"
    )
    way = (stock("sftp"), "-F", str(place.config), "-b", str(batch), "web")
    done = place.run(*way)
    assert done.returncode == 0, done
    assert (place.here / "back" / "sub dir" / "big").read_bytes() == DATA
    out = done.stdout.partition(b"Size")[0]  # df tells how full the disk is
    return {"out": place.neutral(out), "err": place.neutral(done.stderr), "tree": tree(there)}


# --- rsync and git --------------------------------------------------------------------------------


@cell("rsync", "a tree there, a difference, and back; a file that is not there")
def _(place: Place) -> Outcome:
    source = planted(place.here)
    way = (stock("rsync"), "-e", shlex.join([stock("ssh"), "-F", str(place.config)]), "-ai")
    up = place.run(*way, f"{source}/", f"web:{place.there}/copy/")
    (source / "plain").write_text("other\n")
    os.utime(source / "plain", (1_700_000_200,) * 2)
    (source / "empty").unlink()
    os.utime(source, (1_700_000_100,) * 2)
    changed = place.run(*way, "--delete", "--checksum", f"{source}/", f"web:{place.there}/copy/")
    down = place.run(*way, "-z", f"web:{place.there}/copy/", "back/")
    missing = place.run(*way, f"web:{place.there}/none", "back/")
    assert (up.returncode, changed.returncode, down.returncode) == (0, 0, 0), (up, changed, down)
    assert missing.returncode == 23
    assert tree(place.there / "copy") == tree(source) == tree(place.here / "back")
    assert b"link_stat" in missing.stderr  # and at times that a pipe of its own broke
    steps = {"up": up, "changed": changed, "down": down}
    return {name: place.told(done) for name, done in steps.items()}


@cell("git", "clone, push, and a push that is refused")
def _(place: Place) -> Outcome:
    fixed = {f"GIT_{who}_{what}": "a <a@b>" if what == "DATE" else "a@b"
             for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
    fixed |= {f"GIT_{who}_DATE": "1700000000 +0000" for who in ("AUTHOR", "COMMITTER")}
    fixed |= {
        "GIT_SSH_COMMAND": shlex.join([stock("ssh"), "-F", str(place.config)]),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }

    def git(*words: str) -> subprocess.CompletedProcess[bytes]:
        return place.run(stock("git"), "-c", "init.defaultBranch=main", *words, environ=fixed)

    repository = place.there / "repo.git"
    assert git("init", "-q", "--bare", str(repository)).returncode == 0
    found: Outcome = {}
    for name in ("one", "two"):
        found[f"clone {name}"] = place.told(git("clone", "-q", f"web:{repository}", name))
        (place.here / name / "file").write_text(name)
        git("-C", name, "add", "file")
        git("-C", name, "commit", "-qm", name)
    pushed = git("-C", "one", "push", "-q", "origin", "main")
    refused = git("-C", "two", "push", "-q", "origin", "main")
    missing = git("clone", "-q", f"web:{place.there}/none.git", "three")
    assert (pushed.returncode, refused.returncode, missing.returncode) == (0, 1, 128), pushed
    steps = {"pushed": pushed, "refused": refused, "missing": missing}
    found |= {name: place.told(done) for name, done in steps.items()}
    found["head"] = git("-C", str(repository), "rev-parse", "main").stdout
    return found


# --- PuTTY ----------------------------------------------------------------------------------------


def plink(place: Place, *words: str, stdin: bytes = b"", program: str = "plink") -> Outcome:
    """PuTTY takes a certificate beside its key from a saved session, since 0.78."""
    ppk, sessions = place.folder / "key.ppk", place.folder / ".putty" / "sessions"
    if not ppk.exists():
        place.run(stock("puttygen"), str(place.key), "-O", "private", "-o", str(ppk))
        sessions.mkdir(parents=True)
    saved = {
        "HostName": "127.0.0.1",
        "PortNumber": place.port,
        "Protocol": "ssh",
        "UserName": place.user,
        "PublicKeyFile": ppk,
        "DetachedCertificate": place.certificate or "",
    }
    (sessions / "web").write_text("".join(f"{k}={v}\n" for k, v in saved.items()))
    key = asyncssh.import_public_key(place.host_key).get_fingerprint()
    full = (stock(program), "-batch", "-hostkey", key, "-load", "web", *words)
    return place.told(place.run(*full, stdin=stdin))


@cell("plink", "stdout, stderr, exit status")
def _(place: Place) -> Outcome:
    found = plink(place, "echo out; echo err >&2; exit 7")
    assert (found["out"], found["status"]) == (b"out\n", 7)
    return found


@cell("plink", "1.6 MB in and out, end of input")
def _(place: Place) -> Outcome:
    found = plink(place, "cat; echo end >&2", stdin=DATA)
    assert found["out"] == DATA
    return found


@cell("plink", "a command ended by a signal")
def _(place: Place) -> Outcome:
    return plink(place, "kill -TERM $$")


@cell("pscp", "a file there and back by SFTP")
def _(place: Place) -> Outcome:
    source, there = place.here / "file", place.there / "file"
    source.write_bytes(DATA)
    plink(place, "true")  # makes the saved session
    key = asyncssh.import_public_key(place.host_key).get_fingerprint()
    way = (stock("pscp"), "-q", "-batch", "-hostkey", key)
    up = place.run(*way, str(source), f"web:{there}")
    down = place.run(*way, f"web:{there}", "back")
    assert (up.returncode, down.returncode) == (0, 0), (up, down)
    assert there.read_bytes() == (place.here / "back").read_bytes() == DATA
    return {"up": place.told(up), "down": place.told(down)}


# --- Dropbear -------------------------------------------------------------------------------------


def dbclient(place: Place, *words: str, stdin: bytes = b"") -> Outcome:
    """It knows no certificates: its key has signed in over ssh itself."""
    key = place.folder / "key.dropbear"
    if not key.exists():
        own = str(place.signed_in or place.key)
        place.run(stock("dropbearconvert"), "openssh", "dropbear", own, str(key))
    # It keeps host keys in the account's own folder, whatever HOME says: -y -y looks at none.
    full = (stock("dbclient"), "-y", "-y", "-i", str(key), "-p", str(place.port), "-l", place.user)
    found = place.told(place.run(*full, "127.0.0.1", *words, stdin=stdin))
    said = bytes(found["err"]).splitlines(keepends=True)  # type: ignore[call-overload]  # bytes
    return found | {"err": b"".join(line for line in said if b"host key" not in line)}


@cell("dbclient", "stdout, stderr, exit status")
def _(place: Place) -> Outcome:
    found = dbclient(place, "echo out; echo err >&2; exit 7")
    assert (found["out"], found["status"]) == (b"out\n", 7), found
    return found


@cell("dbclient", "1.6 MB in and out, end of input")
def _(place: Place) -> Outcome:
    found = dbclient(place, "cat; echo end >&2", stdin=DATA)
    assert found["out"] == DATA
    return found


# --- libraries ------------------------------------------------------------------------------------


def by_paramiko(place: Place, work: Callable[[paramiko.SSHClient], Outcome]) -> Outcome:
    client = paramiko.SSHClient()
    kind, blob = place.host_key.split()[:2]
    known = client.get_host_keys()
    entry = paramiko.hostkeys.HostKeyEntry.from_line(f"[127.0.0.1]:{place.port} {kind} {blob}")
    assert entry is not None
    assert entry.key is not None
    known.add(f"[127.0.0.1]:{place.port}", kind, entry.key)
    key = paramiko.Ed25519Key(filename=str(place.key))
    if place.certificate is not None:
        key.load_certificate(str(place.certificate))
    try:
        client.connect(
            "127.0.0.1", place.port, place.user, pkey=key, allow_agent=False, look_for_keys=False
        )
        return work(client)
    finally:
        client.close()


@cell("paramiko", "stdout, stderr, exit status, bytes")
def _(place: Place) -> Outcome:
    def work(client: paramiko.SSHClient) -> Outcome:
        stdin, out, err = client.exec_command("cat; echo err >&2; exit 7", timeout=PATIENCE)
        stdin.write(DATA[:500_000])
        stdin.channel.shutdown_write()
        found: Outcome = {"out": out.read(), "err": err.read()}
        found["status"] = out.channel.recv_exit_status()
        assert found == {"out": DATA[:500_000], "err": b"err\n", "status": 7}
        return found

    return by_paramiko(place, work)


@cell("paramiko", "a terminal and its size")
def _(place: Place) -> Outcome:
    def work(client: paramiko.SSHClient) -> Outcome:
        channel = client.invoke_shell("xterm", 90, 30)
        channel.settimeout(PATIENCE)
        channel.sendall(b"stty -echo; stty size; exit 5\n")
        with channel.makefile("rb") as stream:
            shown = stream.read()
        assert b"30 90" in shown
        return {"size": b"30 90" in shown, "status": channel.recv_exit_status()}

    return by_paramiko(place, work)


@cell("paramiko", "SFTP: a file there and back, a folder's files")
def _(place: Place) -> Outcome:
    def work(client: paramiko.SSHClient) -> Outcome:
        with client.open_sftp() as sftp:
            with sftp.open(str(place.there / "file"), "wb") as file:
                file.set_pipelined(True)
                file.write(DATA)
            with sftp.open(str(place.there / "file"), "rb") as file:
                back = file.read()
            assert back == DATA
            return {"names": sftp.listdir(str(place.there)), "size": len(back)}

    return by_paramiko(place, work)


def by_asyncssh(
    place: Place, work: Callable[[asyncssh.SSHClientConnection], Coroutine[Any, Any, Outcome]]
) -> Outcome:
    async def run() -> Outcome:
        key: Any = asyncssh.read_private_key(str(place.key))
        if place.certificate is not None:
            key = (key, asyncssh.read_certificate(str(place.certificate)))
        pairs = list(asyncssh.load_keypairs([key]))
        async with asyncssh.connect(
            "127.0.0.1", place.port, username=place.user, client_keys=pairs[:1], config=None,
            known_hosts=([asyncssh.import_public_key(place.host_key)], [], []), agent_path=None,
        ) as connection:  # fmt: skip
            async with asyncio.timeout(PATIENCE):
                return await work(connection)

    return asyncio.run(run())


@cell("asyncssh", "stdout, stderr, exit status, bytes")
def _(place: Place) -> Outcome:
    async def work(connection: asyncssh.SSHClientConnection) -> Outcome:
        done = await connection.run("cat; echo err >&2; exit 7", input=DATA, encoding=None)
        assert (done.stdout, done.exit_status) == (DATA, 7)
        return {"out": done.stdout, "err": done.stderr, "status": done.exit_status}

    return by_asyncssh(place, work)


@cell("asyncssh", "a signal that ended a command")
def _(place: Place) -> Outcome:
    async def work(connection: asyncssh.SSHClientConnection) -> Outcome:
        done = await connection.run("kill -TERM $$")
        assert done.exit_signal is not None
        return {"signal": done.exit_signal[:2]}

    return by_asyncssh(place, work)


@cell("asyncssh", "twenty commands at once on one connection")
def _(place: Place) -> Outcome:
    async def work(connection: asyncssh.SSHClientConnection) -> Outcome:
        # sshd lets ten be at once, so they go in two rounds.
        found: list[Any] = []
        for first in (0, 10):
            runs = [connection.run(f"echo {n}; exit {n}") for n in range(first, first + 10)]
            found += await asyncio.gather(*runs)
        told = [(one.stdout, one.exit_status) for one in found]
        assert told == [(f"{n}\n", n) for n in range(20)]
        return {"told": told}

    return by_asyncssh(place, work)


# --- Ansible --------------------------------------------------------------------------------------


def ansible(place: Place, transfer: str, *, pipelining: bool) -> Outcome:
    """ping, and copy there twice: it is changed once."""
    (place.here / "file").write_bytes(DATA[:100_000])
    inventory = place.folder / "inventory"
    inventory.write_text(f"web ansible_python_interpreter={sys.executable}\n")
    play = place.folder / "play.yml"
    play.write_text(
        "- hosts: web\n  gather_facts: false\n  tasks:\n"
        "  - ping:\n"
        f"  - copy: {{src: {place.here}/file, dest: {place.there}/file, mode: '0640'}}\n"
        f"  - copy: {{src: {place.here}/file, dest: {place.there}/file, mode: '0640'}}\n"
        "  - command: echo hi\n"
        f"  - fetch: {{src: {place.there}/file, dest: {place.here}/back, flat: true}}\n"
        "  - command: exit 3\n"
    )
    environ = {
        "ANSIBLE_HOME": str(place.folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(place.folder / "local"),
        "ANSIBLE_REMOTE_TEMP": str(place.there / ".ansible"),
        "ANSIBLE_SSH_ARGS": f"-F {place.config} -o ControlMaster=auto -o ControlPersist=2s",
        "ANSIBLE_SSH_CONTROL_PATH": str(place.folder / "c"),
        "ANSIBLE_SSH_TRANSFER_METHOD": transfer,
        "ANSIBLE_PIPELINING": str(pipelining),
        "ANSIBLE_STDOUT_CALLBACK": "minimal",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_SCP_EXTRA_ARGS": "-O",
    }
    done = place.run(stock("ansible-playbook"), "-i", str(inventory), str(play), environ=environ)
    assert done.returncode == 2, done  # the last task is one that fails
    assert (place.there / "file").read_bytes() == DATA[:100_000]
    assert (place.here / "back").read_bytes() == DATA[:100_000]
    return {
        "status": done.returncode,
        "words": [
            line.split(b"|")[1].strip()[:8] for line in done.stdout.splitlines() if b"|" in line
        ],
        "mode": (place.there / "file").stat().st_mode,
    }


@cell("Ansible", "ping, copy, fetch, command; files through pipes, pipelining")
def _(place: Place) -> Outcome:
    return ansible(place, "piped", pipelining=True)


@cell("Ansible", "ping, copy, fetch, command; files by sftp, without pipelining", long=True)
def _(place: Place) -> Outcome:
    return ansible(place, "sftp", pipelining=False)


@cell("Ansible", "ping, copy, fetch, command; files by scp -O, without pipelining", long=True)
def _(place: Place) -> Outcome:
    return ansible(place, "scp", pipelining=False)


# --- the table ------------------------------------------------------------------------------------

HEAD = """\
# Clients of SSH targets

Each line of this table is run twice by a test, straight to a real sshd and through the agent to the same one: output, words on stderr, exit status
and every byte of what was copied are the same. Made by `python -m tests.conformance.ssh_matrix > docs/reference/ssh-clients.md`; the versions are
Debian's: OpenSSH 9.2, rsync 3.5, git 2.39, PuTTY 0.78, Dropbear 2022, Ansible 2.14.

"""
TAIL = """
## What they need

**OpenSSH, and whatever runs it** (scp, sftp, rsync, git, Ansible): what `hoop config ssh --write` writes. Ansible keeps its connections open
(`ControlPersist`), which is one session with many commands.

**PuTTY**: a saved session with the key in PuTTY's form (`puttygen KEY -O private -o KEY.ppk`) as `PublicKeyFile` and the certificate beside it as
`DetachedCertificate` (0.78 and later; in its window: Connection, SSH, Auth, Credentials). `plink -load NAME` then takes both.

**Libraries**: a key with its certificate, as paramiko (`load_certificate`) and asyncssh have them.

**dbclient** (Dropbear 2022) knows no certificates, neither from a file nor from an ssh-agent. Its key
[signs in over ssh itself](../how-to/sign-in.md#with-nothing-but-ssh), once.

## What is not as without

- Signals that a client sends to a program (`SIGUSR1` by a library) arrive where the target's sshd takes them; OpenSSH's takes none for root.
- Exit statuses are of eight bits, as OpenSSH's client has them, too.
- A command whose text is not UTF-8 is refused.
- A client that takes packets of fewer than 256 bytes gets no channel, and of the environment no more than 64 variables are kept.
"""


def page() -> str:
    """The table as docs/reference/ssh-clients.md has it."""
    lines = ["| client | what is done |", "|---|---|"]
    lines += [f"| {one.client} | {one.what} |" for one in CELLS]
    return HEAD + "\n".join(lines) + "\n" + TAIL


if __name__ == "__main__":
    sys.stdout.write(page())
