"""How a request is judged: what the agent finds out at the target before and behind the verdict.

Each is a generator: it gives an ``Ask``, or packets of the agent's own, and goes on with the
answers.  Nothing later of that person is read meanwhile.

Where rules speak of paths, the target says what a path really is, and the request goes on with
that, so that a link put there a moment later leads nowhere.  Right before and behind the opening
the target is asked again.

Order of the file: what is given and got, paths, requests that name files, files that are opened.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from hoopcore.command import Text, Transfer
from hoopcore.passage import Ask
from hoopcore.policy import FileRules
from hoopcore.protocols.files import Account, doing
from hoopcore.protocols.sftp.opened import Opened, words
from hoopcore.protocols.sftp.requests import (
    NAMED,
    Request,
    Way,
    beneath,
    named,
    parted,
    said,
)
from hoopcore.protocols.sftp.wire import (
    Attributes,
    Code,
    Fields,
    Flag,
    Type,
    Unreadable,
    string,
    u32,
    u64,
)

SAMPLE: Final = 64 << 10
"""Bytes from the beginning of a file that are looked through where a rule asks for that."""

SPOT: Final = 16 << 10
SPOTS: Final = 4
"""So many bytes at so many other places."""

LONGEST_TEXT: Final = 4096

_NEW = Flag.CREAT | Flag.EXCL  # only what is not there: no link is followed

_PATH = 1000  # characters of a path in what people read of a request


@dataclass(frozen=True, slots=True)
class Own:
    """A packet of the agent's; its id is not in it yet."""

    kind: int
    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What answered it: a packet without its length and id."""

    kind: int
    body: bytes

    @property
    def code(self) -> int:
        """Of a STATUS; FAILURE where it is none."""
        return Fields(self.body).u32() if self.kind == Type.STATUS else Code.FAILURE

    def attributes(self) -> Attributes | None:
        return Fields(self.body).attributes() if self.kind == Type.ATTRS else None

    def handle(self) -> bytes | None:
        return Fields(self.body).handle() if self.kind == Type.HANDLE else None

    def name(self) -> bytes | None:
        """The only name it gives, where that is a path from the root."""
        if self.kind != Type.NAME:
            return None
        fields = Fields(self.body)
        path = fields.path() if fields.u32() == 1 else b""
        return path if path.startswith(b"/") else None

    def data(self) -> bytes:
        return Fields(self.body).string() if self.kind == Type.DATA else b""


@dataclass(frozen=True, slots=True)
class Decision:
    seq: int
    refusal: str


Work: TypeAlias = Generator[Ask | tuple[Own, ...], Any, None]


class Desk(Protocol):
    """What judging does to the channel."""

    rules: FileRules
    home: bytes  # where the target begins; empty: nobody has asked yet

    def forward(
        self, request: Request, paths: tuple[bytes, ...], opened: Opened | None, seq: int = 0
    ) -> None:
        """To the target; its answer goes to the person, and is recorded under that number."""
        ...

    def answer(self, request: Request, code: int, text: str) -> None:
        """To the person, instead of the target."""
        ...

    def refuse(self, request: Request, what: str, refusal: str) -> None:
        """The same, with the words that a rule has."""
        ...

    def relay(self, request: Request, reply: Reply) -> None:
        """An answer to a packet of the agent's, to the person."""
        ...

    def open(self, request: Request, opened: Opened, handle: bytes) -> None:
        """The person is told the handle."""
        ...

    def ended(self, opened: Opened) -> None:
        """Accounts for a file that is not open, or no longer."""
        ...


# --- paths ----------------------------------------------------------------------------------------


class _Elsewhere(Exception):
    """The target does not say what a path is: this is the answer."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


_UNCLEAR = Reply(
    Type.STATUS,
    u32(Code.FAILURE) + string(b"hoop: the target does not say where this leads") + string(b"en"),
)

# Of these an empty path is the folder that one begins in.
_START: Final = frozenset({Type.REALPATH, b"expand-path@openssh.com"})
_NOTHING = Reply(Type.STATUS, u32(Code.NO_SUCH_FILE) + string(b"No such file") + string(b"en"))


def really(desk: Desk, request: Request) -> Generator[tuple[Own, ...], Any, tuple[bytes, ...]]:
    """The paths as the target resolves them now."""
    if not desk.home:
        desk.home = yield from _followed(b".", creates=False)
    shape = NAMED[request.kind]
    found = []
    if b"" in request.paths and request.kind not in _START:
        raise _Elsewhere(_NOTHING)
    for path, way in zip(request.paths, shape.ways, strict=True):
        if way is Way.SAID:
            found.append(path)
        elif way is Way.FOLLOWED and request.flags & _NEW != _NEW:
            creates = bool(request.flags & Flag.CREAT)
            found.append((yield from _followed(path, creates=creates)))
        else:
            found.append((yield from _itself(path)))
    return tuple(found)


def _followed(path: bytes, *, creates: bool) -> Generator[tuple[Own, ...], Any, bytes]:
    (reply,) = yield (Own(Type.REALPATH, (string(path),)),)
    real: bytes | None = reply.name()
    if real is None and creates and reply.code == Code.NO_SUCH_FILE and parted(path)[1]:
        # Some servers want a file to be there.  A link that leads to nothing is no new file.
        real = yield from _itself(path)
        (reply,) = yield (Own(Type.LSTAT, (string(real),)),)
        if reply.code != Code.NO_SUCH_FILE:
            raise _Elsewhere(_UNCLEAR)
    if real is None:
        raise _Elsewhere(reply if reply.kind == Type.STATUS and reply.code else _UNCLEAR)
    return real


def _itself(path: bytes) -> Generator[tuple[Own, ...], Any, bytes]:
    folder, name = parted(path)
    (reply,) = yield (Own(Type.REALPATH, (string(folder),)),)
    real: bytes | None = reply.name()
    if real is None:
        raise _Elsewhere(reply if reply.kind == Type.STATUS and reply.code else _UNCLEAR)
    return real.rstrip(b"/") + b"/" + name if name else real


def _onward(request: Request, real: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """What goes to the target: with the signs at the end that make a path a folder's."""
    ways = NAMED[request.kind].ways
    found = []
    for path, one, way in zip(request.paths, real, ways, strict=bool(real)):
        last = path.rpartition(b"/")[2]
        sign = _FOLDERS.get(last, b"") if way is not Way.SAID else b""
        found.append(one + sign)
    return tuple(found)


_FOLDERS = {b"": b"/", b".": b"/.", b"..": b"/."}


def _files(desk: Desk, request: Request, real: tuple[bytes, ...]) -> tuple[Text, ...]:
    """All that the paths are: as they are said, and as they really are, from the home folder too.

    The folder that the target begins in is taken for that.
    """
    ways = NAMED[request.kind].ways
    found = []
    for path, is_really, way in zip(request.paths, real or request.paths, ways, strict=True):
        if way is Way.SAID and request.kind == Type.SYMLINK and not path.startswith(b"/"):
            path = parted((real or request.paths)[1])[0] + b"/" + path
            is_really = path
        found += [named(path), named(is_really)]
        if desk.home and (is_really + b"/").startswith(desk.home.rstrip(b"/") + b"/"):
            found.append(named(is_really[len(desk.home.rstrip(b"/")) + 1 :]))
    return tuple(dict.fromkeys(found))


def told(actions: tuple[str, ...], request: Request, real: tuple[bytes, ...]) -> str:
    """A request as people read it."""
    paths = request.paths
    if request.kind == Type.SYMLINK:
        paths, real = paths[::-1], real[::-1]
    names = [said(path)[:_PATH] for path in paths]
    for place, (path, one) in enumerate(zip(paths, real, strict=False)):
        if path != one:
            names[place] += f" (really {said(one)[:_PATH]})"
    return f"{' and '.join(actions)} {' to '.join(names)}"[:LONGEST_TEXT]


# --- requests that name files ---------------------------------------------------------------------


def judged(desk: Desk, request: Request) -> Work:
    """Any request that names files."""
    real: tuple[bytes, ...] = ()
    try:
        if desk.rules.names_paths:
            real = yield from really(desk, request)
        if request.kind == Type.OPEN:
            yield from _open(desk, request, real)
        else:
            yield from _named(desk, request, real)
    except _Elsewhere as problem:
        desk.relay(request, problem.reply)


def _named(desk: Desk, request: Request, real: tuple[bytes, ...]) -> Work:
    (action,) = actions = request.actions
    files = _files(desk, request, real)
    if action == "rename" and real:
        (reply,) = yield (Own(Type.LSTAT, (string(real[0]),)),)
        attributes = reply.attributes()
        if attributes is None or attributes.may_be_folder:
            files = (*files, beneath(real[0]), beneath(real[1]))
    statement = doing("sftp", Transfer(action, files))
    what = told(actions, request, real)
    seq = 0
    if action != "look" or desk.rules.refuses(statement):
        decision: Decision = yield Ask(what, statement)
        if decision.refusal:
            desk.refuse(request, what, decision.refusal)
            return
        seq = decision.seq
    opened = Opened(said(request.paths[0]), files) if request.kind == Type.OPENDIR else None
    desk.forward(request, _onward(request, real), opened, seq)


def judged_open(
    desk: Desk, request: Request, what: str, transfer: Transfer, then: Callable[[], None]
) -> Work:
    """A request about what is open already, and changes it; ``then`` notes that it does."""
    decision: Decision = yield Ask(what[:LONGEST_TEXT], doing("sftp", transfer))
    if decision.refusal:
        desk.refuse(request, what, decision.refusal)
    else:
        then()
        desk.forward(request, (), None, decision.seq)


# --- files that are opened ------------------------------------------------------------------------


def _open(desk: Desk, request: Request, real: tuple[bytes, ...]) -> Work:
    actions, rules = request.actions, desk.rules
    path = (real or request.paths)[0]
    size = request.attributes.size if request.attributes is not None else None
    if rules.names_sizes and "download" in actions:
        (reply,) = yield (Own(Type.STAT, (string(path),)),)
        attributes = reply.attributes()
        size = None if attributes is None else attributes.size
    files = _files(desk, request, real)
    statement = doing("sftp", *(Transfer(action, files, size) for action in actions))
    what = told(actions, request, real)
    decision: Decision = yield Ask(what, statement)
    opened = _opened(request, decision.seq, files)
    if decision.refusal:
        opened.refused = True
        desk.ended(opened)
        desk.refuse(request, what, decision.refusal)
        return
    opened.watch = rules.watch(statement)
    if real or opened.watch:
        yield from _watched(desk, request, real, opened)
    else:
        desk.forward(request, (), opened)


def _opened(request: Request, seq: int, files: tuple[Text, ...]) -> Opened:
    path = said(request.paths[0])
    opened = Opened(path, files)
    mode = request.attributes.permissions if request.attributes is not None else ""
    if "download" in request.actions:
        opened.down = Account("download", path, seq)
    if "upload" in request.actions:
        opened.up = Account("upload", path, seq, mode=mode)
    opened.appends = bool(request.flags & Flag.APPEND)
    opened.fresh = bool(request.flags & (Flag.TRUNC | Flag.EXCL))
    return opened


def _watched(desk: Desk, request: Request, real: tuple[bytes, ...], opened: Opened) -> Work:
    """Opened by the agent, and shown to the person once nothing stands against it."""
    paths = _onward(request, real) or request.paths
    open = Own(Type.OPEN, request.body(paths))
    moved = False
    if real:
        # All at once: between the looks there is hardly time to swap a link and to swap it back.
        look = Own(Type.REALPATH, (string(real[0]),))
        before, reply, after = yield (look, open, look)
        new = bool(request.flags & Flag.CREAT) and before.code == Code.NO_SUCH_FILE
        moved = after.name() != real[0] or not (new or before.name() == real[0])
    else:
        (reply,) = yield (open,)
    handle = reply.handle()
    if handle is None:
        opened.failed = words(reply.code)
        desk.ended(opened)
        desk.relay(request, reply)
        return
    refusal = "what stands there has changed while it was opened"
    if not moved:
        refusal = yield from _looked_over(desk, request, real, opened, handle)
    if not refusal:
        desk.open(request, opened, handle)
        return
    yield (Own(Type.CLOSE, (string(handle),)),)
    opened.refused = True
    desk.ended(opened)
    desk.refuse(request, told(request.actions, request, real), refusal)


def _looked_over(
    desk: Desk, request: Request, real: tuple[bytes, ...], opened: Opened, handle: bytes
) -> Generator[Ask | tuple[Own, ...], Any, str]:
    """Why it may not be gone on with; empty: it may."""
    (reply,) = yield (Own(Type.FSTAT, (string(handle),)),)
    attributes = reply.attributes()
    if attributes is not None:
        opened.looked_at(attributes)
    size = None if attributes is None else attributes.size
    if opened.down is not None and opened.up is None and opened.beyond(size or 0):
        return opened.watch.words
    if not opened.watch.kinds or opened.down is None:
        return ""
    (first,) = yield (_part(handle, 0, SAMPLE),)
    samples = [first.data()]
    step = ((size or 0) - SPOT) // SPOTS
    if (size or 0) > SAMPLE:
        spots = yield tuple(_part(handle, step * place, SPOT) for place in range(1, SPOTS + 1))
        samples += [spot.data() for spot in spots]
    found = desk.rules.found(tuple(samples), opened.watch.kinds)
    if not found:
        return ""
    transfer = Transfer("download", _files(desk, request, real), size, found)
    what = (
        f"download {said(request.paths[0])[:_PATH]}, in which there is: {', '.join(sorted(found))}"
    )
    decision: Decision = yield Ask(what, doing("sftp", transfer))
    opened.down.seq = decision.seq
    return decision.refusal


def _part(handle: bytes, at: int, count: int) -> Own:
    return Own(Type.READ, (string(handle), u64(at), u32(count)))


__all__ = ["Decision", "Desk", "Own", "Reply", "Unreadable", "Work", "judged", "judged_open"]
