"""What may be wrong between a person and a target: one look each, none in the way of another.

Each look stands alone, runs in a thread of its own and has a time limit, so that an agent that is
down, a keyring that waits for somebody and a provider behind a broken proxy are three lines, and
none of them hides the other two.  What a look needs and cannot have (a sign-in, say) it names.

Order of the file: the lines, running them, then the looks as ``doctor`` prints them.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any

from hoopcli import __version__, credentials, profile
from hoopcli.errors import AgentUnreachable, Failure, NotSignedIn
from hoopcli.view import clean, moment, span, when

OK, WARN, FAIL = "ok", "warn", "fail"

# The looks that say what is wrong where others only lack it.
AGENT, SIGN_IN = "agent", "sign-in"

LIMIT = 10.0  # seconds for one look

# An ID token that is a minute from the future is refused.
_SKEW_WARN, _SKEW_FAIL = 5.0, 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """One look: what it was at, how it is, and how to mend what is wrong."""

    check: str
    state: str
    said: str
    mend: str = ""

    def value(self) -> dict[str, str]:
        return asdict(self)


Look = Callable[[], "Line | Sequence[Line]"]


def run(looks: Sequence[tuple[str, Look]], limit: float = LIMIT) -> Iterator[Line]:
    """All of them at once; their lines in the order given, each as soon as it can be told."""
    found: dict[int, Sequence[Line]] = {}
    threads = []
    for number, (name, look) in enumerate(looks):

        def work(number: int = number, name: str = name, look: Look = look) -> None:
            found[number] = _looked(name, look)

        # A look that hangs must not keep the process: what is late is a line all the same.
        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
    end = datetime.now(UTC).timestamp() + limit
    for number, (name, _) in enumerate(looks):
        threads[number].join(max(end - datetime.now(UTC).timestamp(), 0.0))
        late = Line(name, FAIL, f"no answer within {limit:g} s", "Try again; is something stuck?")
        yield from found.get(number, [late])


def _looked(name: str, look: Look) -> Sequence[Line]:
    try:
        seen = look()
    except NotSignedIn as problem:
        if name == SIGN_IN:
            return [Line(name, WARN, problem.message, problem.hint)]
        return [Line(name, WARN, f"not looked at: {problem.message}")]
    except AgentUnreachable as problem:
        if name == AGENT:
            return [Line(name, FAIL, problem.message, problem.hint)]
        return [Line(name, WARN, "not looked at: the agent does not answer")]
    except Failure as problem:
        return [Line(name, FAIL, problem.message, problem.hint)]
    except Exception as problem:  # noqa: BLE001 - the border of one look: the others are told
        return [Line(name, FAIL, f"{type(problem).__name__}: {problem}")]
    return [seen] if isinstance(seen, Line) else list(seen)


class Looks:
    """The looks at one agent and at this machine.  What several of them need is asked once."""

    def __init__(self, agent: str | None) -> None:
        self._agent = agent
        self._status = cache(self._ask_status)
        self._lock = threading.Lock()

    def all(self) -> list[tuple[str, Look]]:
        return [
            (AGENT, self.agent),
            ("owner", self.owner),
            (SIGN_IN, self.sign_in),
            ("certificate", self.certificate),
            ("clock", self.clock),
            ("agent itself", self.agent_itself),
            ("provider", self.provider),
            ("keyring", self.keyring),
            ("settings", self.settings),
            ("psql", self.psql),
            ("hoop", self.hoop),
        ]

    # --- what they share --------------------------------------------------------------------------

    def _session(self) -> Any:
        from hoopcli.signin import session

        return session(self._agent)

    def _pin(self) -> profile.Pin:
        """What is remembered of the agent, whether it is there or not."""
        pin = profile.pin_of(profile.wanted(self._agent))
        if pin is None:
            raise NotSignedIn
        return pin

    def kept(self) -> Any:
        """What is kept of the sign-in, for which no agent is needed."""
        from hoopcli.signin import Session

        nowhere = profile.Place(profile.wanted(self._agent), "", 0, "", None, None)
        return Session(nowhere, self._pin()).credentials()

    def _get(self, path: str) -> Any:
        from hoopcli.client import Client

        with Client(self._session(), LIMIT / 2) as client:
            return client.get(path)

    def _told(self) -> Any:
        """The agent's status; one look asks, the others wait for it."""
        with self._lock:
            return self._status()

    def _ask_status(self) -> tuple[Any, datetime]:
        began = datetime.now(UTC)
        told = self._get("/v1/status")
        return told, began + (datetime.now(UTC) - began) / 2

    # --- the agent --------------------------------------------------------------------------------

    def agent(self) -> Line:
        """Whether it answers at its SSH door, with the key that was pinned."""
        from hoopcli import door

        place = profile.locate(profile.wanted(self._agent))
        pin = profile.pin_of(place.name)
        where = f"{place.host}:{place.port}"
        key = pin.host_key if pin else place.host_key or door.shown_key(place)
        there = door.welcome(place, key).version
        said = f"hoop {there or '(older)'} answers at {where}"
        if pin is None:
            return Line("agent", WARN, f"{said}; you are not signed in there", "hoop login")
        if there != __version__:
            return Line("agent", OK, f"{said}; this is hoop {__version__}, and they work together")
        return Line("agent", OK, said)

    def owner(self) -> Line:
        """Whether the account that serves the socket is the one that was there at the sign-in."""
        session = self._session()
        place, pin = session.place, session.pin
        if place.api is None:
            return Line("owner", OK, "the agent is elsewhere, and known by its host key")
        if place.owner is None:
            mend = f"chmod go-w {place.name}"
            return Line("owner", FAIL, f"others can write in {place.name}", mend)
        served_by = _peer_of(place.api)
        if served_by not in (None, pin.owner):
            said = f"uid {served_by} serves {place.api}, and uid {pin.owner} did at your sign-in"
            return Line("owner", FAIL, said, "Ask who runs the agent; then  hoop login --force")
        return Line("owner", OK, f"uid {pin.owner} owns {place.name} and serves its socket")

    def agent_itself(self) -> Sequence[Line]:
        """What the agent knows to be wrong with itself."""
        from hoopcli.errors import ApiError

        try:
            told = self._get("/v1/doctor")
        except ApiError as problem:
            if problem.status != 404:
                raise
            return [Line("agent itself", WARN, "it is older than this hoop and cannot be asked")]
        states = {OK, WARN, FAIL}
        return [
            Line(
                str(one["check"]),
                one["state"] if one["state"] in states else WARN,
                str(one["said"]),
                str(one.get("mend") or ""),
            )
            for one in told
        ]

    # --- who you are ------------------------------------------------------------------------------

    def sign_in(self) -> Line:
        """Whether the agent still believes the token, and until when."""
        told, now = self._told()
        until = moment(told["identity_until"])
        left = (until - now).total_seconds()
        said = f"{told['principal']['name']}, ends {when(told['identity_until'], now)}"
        if left <= 0:
            return Line("sign-in", FAIL, f"{said}: it is over", "hoop login")
        if left < 600:
            return Line("sign-in", WARN, said, "hoop login")
        return Line("sign-in", OK, said)

    def certificate(self) -> Line:
        """The SSH certificate, for which no agent is needed."""
        from cryptography.hazmat.primitives.serialization import SSHCertificate, ssh

        kept = self.kept()
        try:
            read = ssh.load_ssh_public_identity(kept.certificate.encode())
        except ValueError as problem:
            return Line("certificate", FAIL, f"it cannot be read: {problem}", "hoop login")
        assert isinstance(read, SSHCertificate)
        now = datetime.now(UTC)
        ends = datetime.fromtimestamp(read.valid_before, UTC)
        said = f"for SSH, ends {when(ends.isoformat(), now)}"
        if now.timestamp() < read.valid_after:
            return Line("certificate", FAIL, "it is of the future", "Set this machine's clock.")
        if ends <= now:
            said = f"for SSH, it ended {when(ends.isoformat(), now)}; the next command renews it"
            return Line("certificate", OK if kept.refresh_token else WARN, said)
        return Line("certificate", OK, said)

    def keyring(self) -> Line:
        """Whether a keyring keeps a value, gives it back and loses it again: by doing so."""
        pin = profile.pin_of(profile.wanted(self._agent)) if _knows(self._agent) else None
        kind = pin.vault if pin else ""
        found = credentials.working()
        if found is not None and kind in ("", found):
            return Line("keyring", OK, f"{found}: it kept a value, gave it back and lost it again")
        if kind in (credentials.FILE, credentials.PLAIN):
            also = f"; {found} works too, a new sign-in would use it" if found else ""
            return Line("keyring", OK, f"your sign-in is in the {kind}{also}")
        if kind:
            mend = "Unlock it; or  hoop login  for another place"
            return Line(
                "keyring", FAIL, f"your sign-in is in {kind}, which does not work now", mend
            )
        said = "none works here: a passphrase will guard your sign-in in a file"
        return Line("keyring", WARN, said, "Set HOOP_PASSPHRASE where nobody can type it.")

    def settings(self) -> Line:
        """The folder of one's own settings."""
        home = profile.home()
        if not home.exists():
            return Line("settings", OK, f"{home} is made at the first sign-in")
        seen = home.stat()
        if seen.st_uid != os.geteuid():
            mend = "Set HOOP_HOME to a folder of your own."
            return Line("settings", FAIL, f"{home} is somebody else's", mend)
        if seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return Line("settings", FAIL, f"{home} is not yours alone", f"chmod 700 {home}")
        return Line("settings", OK, str(home))

    # --- time, and the provider -------------------------------------------------------------------

    def clock(self) -> Line:
        """This machine's clock against the agent's."""
        told, middle = self._told()
        return _skew("clock", (moment(told["now"]) - middle).total_seconds(), "the agent's")

    def provider(self) -> Sequence[Line]:
        """Whether it can be reached from here, by the proxy and authorities that a sign-in uses."""
        from hoopcli import oidc

        pin = self._pin()
        with oidc.connect(pin.issuer, pin.ca_file) as http:
            http.timeout = LIMIT / 2
            dates: list[str] = []
            http.event_hooks["response"] = [
                lambda answer: dates.append(answer.headers.get("date", ""))
            ]
            before = datetime.now(UTC)
            found = oidc.discover(http, pin.issuer)
            middle = before + (datetime.now(UTC) - before) / 2
        ways = "the device flow" if found.device else "a browser on this machine only"
        lines = [Line("provider", OK, f"{pin.issuer} answers; it offers {ways}")]
        try:
            theirs = parsedate_to_datetime(dates[-1])
        except (IndexError, ValueError):
            return lines
        return [*lines, _skew("provider's clock", (theirs - middle).total_seconds(), "its")]

    # --- this machine -----------------------------------------------------------------------------

    def psql(self) -> Line:
        from hoopcli import psql

        path = psql.program(os.environ)
        if path is None:
            mend = "Install it (postgresql-client), or use  hoop connect TARGET --listen"
            return Line("psql", WARN, "there is none on PATH", mend)
        asked = [path, "--version"]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=False)
        if told.returncode != 0:
            return Line("psql", FAIL, f"{path} does not start", "Set HOOP_PSQL to one that does.")
        return Line("psql", OK, f"{told.stdout.strip()} at {path}")

    def hoop(self) -> Line:
        """Which hoop a shell starts, and whether that is this one."""
        found = [
            path
            for folder in os.environ.get("PATH", "").split(os.pathsep)
            if folder and (path := Path(folder) / "hoop").is_file() and os.access(path, os.X_OK)
        ]
        ours = Path(sys.executable).parent / "hoop"
        said = f"hoop {__version__} at {ours}"
        if not found:
            mend = f"Put {ours.parent} on PATH."
            return Line("hoop", WARN, f"{said}, which is not on PATH", mend)
        if found[0].resolve() != ours.resolve():
            words = f"{said}, but a shell starts {found[0]}"
            return Line("hoop", WARN, words, f"Put {ours.parent} before it in PATH.")
        return Line("hoop", OK, said)


def _knows(agent: str | None) -> bool:
    try:
        profile.wanted(agent)
    except Failure:
        return False
    return True


def _peer_of(path: Path) -> int | None:
    """Which uid listens there; None where the system does not say."""
    import socket

    from hoopcli.answering import listener_of

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(LIMIT / 2)
        try:
            probe.connect(str(path))
        except OSError as problem:
            raise AgentUnreachable(f"nobody answers at {path}: {problem.strerror}") from problem
        return listener_of(probe)


def _skew(check: str, ahead: float, whose: str) -> Line:
    """How far another clock is ahead of this machine's.  Headers have whole seconds."""
    apart = abs(ahead)
    if apart < _SKEW_WARN:
        return Line(check, OK, f"{whose} clock and this machine's agree")
    way = "behind" if ahead > 0 else "ahead of"
    said = f"this machine's clock is {span(apart)} {way} {whose}"
    state = FAIL if apart >= _SKEW_FAIL else WARN
    return Line(check, state, said, "Set the clock that is wrong; NTP keeps it right.")


def shown(line: Line) -> tuple[str, str, str]:
    """State, check and what is said, with the way to mend it."""
    mend = f" → {clean(line.mend)}" if line.mend and line.state != OK else ""
    return line.state, clean(line.check), f"{clean(line.said)}{mend}"
