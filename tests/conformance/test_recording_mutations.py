"""Whatever somebody without the key does to a recording is found: ten thousand ways of doing it.

A mutation changes the lines, as somebody would who can read and pack them, or the bytes of the
file.  Where it changes lines, whoever did it computes every hash anew, packs the lines again and
writes a seal for the file, signed with a key of their own or with the signature that stood there.
``HOOP_LONG=1`` makes 10,000 mutations, CI a few hundred.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import msgspec
import pytest

from hoopcore.recording import Finished, Head, Notice, Said, State, key_id, verify_file
from hoopcore.recording.chain import hash_of, open_line
from hoopcore.recording.frames import Packer, Seal, read_seal, write_seal
from tests.unit.test_recording import KEY, OTHER, PUBLIC, SESSION, sealed

COUNT = 10_000 if os.environ.get("HOOP_LONG") else 600
SIGNED_EVERY = 20
_MARK = b',"hash":"'


@dataclass(frozen=True)
class Original:
    """A recording as its agent wrote it."""

    lines: list[bytes]
    data: bytes
    head: str


def _recorded(session: str, seed: int) -> Original:
    dice = Random(seed)
    told: list[Said | Finished | Notice | Head] = []
    for seq in range(1, 120):
        text = f"select {seq}, {'x' * dice.randrange(3000)} from orders"
        told.append(Said(seq=seq, text=text, effects=("read",), touches=("app.orders:read",)))
        told.append(Finished(seq=seq, tag="SELECT 1", rows=dice.randrange(9), columns=("id",)))
        if dice.random() < 0.1:
            told.append(Notice(text='a "quote", a \\ and ,"hash":"'))
        if dice.random() < 1 / SIGNED_EVERY:
            told.append(Head(key=key_id(PUBLIC)))
    lines = sealed(*told, session=session)
    return Original(lines, filed(lines, KEY.sign, session), lines[-1][-67:-3].decode())


def filed(lines: list[bytes], sign: Callable[[bytes], bytes], session: str = SESSION) -> bytes:
    """The lines in a file with a seal: many frames, as a recording of many hours has."""
    frames, data, n = [], bytearray(), 1
    for start in range(0, len(lines), 40):
        packer = Packer()
        frames.append((len(data), n))
        for line in lines[start : start + 40]:
            data += packer.pack(line)
            n += 1
        data += packer.close()
    digest = hashlib.sha256(data).hexdigest()
    head = lines[-1][-67:-3].decode() if lines else ""
    return bytes(data) + write_seal(Seal(1, session, len(lines), head, digest, frames), sign)


ONE = _recorded(SESSION, 1)
TWO = _recorded("s-9876543210", 2)  # of another session, by the same agent and key


def test_the_originals_are_whole() -> None:
    for one, session in ((ONE, SESSION), (TWO, "s-9876543210")):
        assert verify_file([one.data], PUBLIC, session=session, head=one.head).ok


# --- what somebody may do to the lines ------------------------------------------------------------


def _drop(lines: list[bytes], dice: Random) -> None:
    at = dice.randrange(len(lines))
    del lines[at : at + dice.choice([1, 1, 1, 5, 40])]


def _double(lines: list[bytes], dice: Random) -> None:
    at = dice.randrange(len(lines))
    lines.insert(dice.choice([at, at + 1, dice.randrange(len(lines))]), lines[at])


def _swap(lines: list[bytes], dice: Random) -> None:
    one, other = dice.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]


def _swap_segments(lines: list[bytes], dice: Random) -> None:
    one, other = sorted(dice.sample(range(0, len(lines) - 40, 40), 2))
    lines[one : one + 40], lines[other : other + 40] = (
        lines[other : other + 40],
        lines[one : one + 40],
    )


def _cut(lines: list[bytes], dice: Random) -> None:
    """The tail goes; often the end is put back, so that it looks whole."""
    del lines[dice.randrange(1, len(lines)) :]
    if dice.random() < 0.7:
        lines += ONE.lines[-2:]


def _splice(lines: list[bytes], dice: Random) -> None:
    at = dice.randrange(1, min(len(lines), len(TWO.lines)))
    lines[at:] = TWO.lines[at:]


def _take_from_other(lines: list[bytes], dice: Random) -> None:
    at = dice.randrange(min(len(lines), len(TWO.lines)))
    lines[at] = TWO.lines[at]


def _retell(lines: list[bytes], dice: Random) -> None:
    """Another text, verdict or count, in JSON that is as good as any."""
    at = dice.randrange(len(lines))
    opened = open_line(lines[at])
    assert opened is not None
    told = msgspec.json.decode(opened.body + b"}")
    name = dice.choice([key for key in told if key not in ("type", "n")] or ["at"])
    value = told.get(name)
    told[name] = value + 1 if isinstance(value, int) else "something else"
    lines[at] = msgspec.json.encode(told)[:-1] + lines[at][len(opened.body) :]


def _flip(lines: list[bytes], dice: Random) -> None:
    at = dice.randrange(len(lines))
    changed = bytearray(lines[at])
    changed[dice.randrange(len(changed) - 1)] ^= 1 << dice.randrange(8)
    lines[at] = bytes(changed)


LINES = (_drop, _double, _swap, _swap_segments, _cut, _splice, _take_from_other, _retell, _flip)


def rechained(lines: list[bytes], renumber: bool) -> list[bytes]:
    """All hashes anew, and the numbers too, as anybody can compute them; signatures stay."""
    before, found = b"0" * 64, []
    for n, line in enumerate(lines, 1):
        body = line[: line.rfind(_MARK)] if _MARK in line else line[:-1]
        if renumber:
            head, mark, rest = body.partition(b'"n":')
            if mark:
                body = head + mark + str(n).encode() + rest.lstrip(b"0123456789")
        before = hash_of(before, body)
        found.append(body + _MARK + before + b'"}\n')
    return found


def _mutated_lines(dice: Random) -> tuple[str, bytes]:
    lines = list(ONE.lines)
    act = dice.choice(LINES)
    act(lines, dice)
    how = dice.choice(["as it is", "chained anew", "numbered anew"])
    if how != "as it is":
        lines = rechained(lines, how == "numbered anew")
    if lines == ONE.lines:
        return "nothing", b""
    old, _, signature = read_seal(ONE.data[ONE.data.rfind(b"*M\x18") - 1 :])
    assert old.session == SESSION
    signer = dice.choice([OTHER.sign, lambda _: signature])
    return f"{act.__name__[1:]}, {how}", filed(lines, signer)


# --- what may be done to the bytes ----------------------------------------------------------------


def _mutated_bytes(dice: Random) -> tuple[str, bytes]:
    data = bytearray(ONE.data)
    at = dice.randrange(len(data))
    size = dice.choice([1, 1, 2, 100, 4000])
    piece = bytes(data[at : at + size])
    how = dice.choice(["flip", "drop", "double", "move", "cut", "overwrite", "append", "splice"])
    match how:
        case "flip":
            data[at] ^= 1 << dice.randrange(8)
        case "drop":
            del data[at : at + size]
        case "double":
            data[at:at] = piece
        case "move":
            del data[at : at + size]
            to = dice.randrange(len(data) + 1)
            data[to:to] = piece
        case "cut":
            del data[at:]
        case "overwrite":
            data[at : at + size] = dice.randbytes(len(piece))
        case "append":
            data += dice.choice([piece, ONE.data, TWO.data, b"\0"])
        case _:
            data[at:] = TWO.data[at:]
    return f"bytes: {how}", bytes(data) if data != ONE.data else b""


@pytest.mark.timeout(300 if COUNT < 1000 else 3600)
def test_no_mutation_of_a_recording_goes_unseen() -> None:
    tried: Counter[str] = Counter()
    for seed in range(COUNT):
        dice = Random(seed)
        name, data = (_mutated_lines if seed % 3 else _mutated_bytes)(dice)
        if not data:
            continue  # it came out as it was
        tried[name] += 1
        for session, head in ((SESSION, ONE.head), ("", "")):  # with the store, and offline
            report = verify_file([data], PUBLIC, session=session, head=head)
            assert not report.ok, (seed, name)
            assert report.why, (seed, name)
    assert sum(tried.values()) > COUNT * 0.95
    assert len(tried) >= 30 or COUNT < 1000, tried


@pytest.mark.parametrize("at", range(2, len(ONE.lines) - 2, 37))
def test_the_first_line_that_does_not_fit_is_named(at: int) -> None:
    """Where only one line was changed, it is that one, or the next head where all was chained."""
    lines = list(ONE.lines)
    lines[at] = lines[at].replace(b"{", b'{"extra":1,', 1)
    assert verify_file([filed(lines, OTHER.sign)], PUBLIC).bad == at + 1
    lines = rechained(lines, renumber=False)
    report = verify_file([filed(lines, OTHER.sign)], PUBLIC)
    heads = [n for n, line in enumerate(ONE.lines, 1) if b'"signature":"' in line and n > at]
    assert (report.state, report.bad) == (State.BROKEN, heads[0])
