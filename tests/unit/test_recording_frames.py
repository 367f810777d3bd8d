"""The file of a recording gives back what was whole, however it is cut, and its seal covers it."""

from __future__ import annotations

import hashlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.recording import Finished, Head, Said, State, key_id, verify_file
from hoopcore.recording.frames import (
    FRAME,
    LARGEST_LINE,
    Packer,
    Seal,
    Unpacker,
    is_closed,
    read_seal,
    write_seal,
)
from tests.unit.test_recording import KEY, PUBLIC, SESSION, sealed


def seal_of(data: bytes, lines: list[bytes]) -> bytes:
    head = lines[-1][-67:-3].decode()
    digest = hashlib.sha256(data).hexdigest()
    return write_seal(Seal(1, SESSION, len(lines), head, digest, [(0, 1)]), KEY.sign)


def packed(lines: list[bytes], each: int = 1) -> bytes:
    packer = Packer()
    data = b"".join(packer.pack(b"".join(lines[i : i + each])) for i in range(0, len(lines), each))
    return data + packer.close()


def recording() -> tuple[bytes, list[bytes]]:
    lines = sealed(
        *[Said(seq=i, text=f"select {i} from orders", effects=("read",)) for i in range(5)],
        Head(key=key_id(PUBLIC)),
        Finished(seq=4, rows=3),
    )
    data = packed(lines)
    return data + seal_of(data, lines), lines


def unpack(data: bytes, size: int = 1 << 20) -> tuple[list[bytes], Unpacker]:
    unpacker = Unpacker()
    lines = []
    for i in range(0, len(data), size):
        lines += unpacker.feed(data[i : i + size])
    unpacker.finish()
    return lines, unpacker


@pytest.mark.parametrize("size", [1, 2, 7, 100, 1 << 20])
def test_pieces_of_any_size_give_the_same_lines(size: int) -> None:
    data, lines = recording()
    found, unpacker = unpack(data, size)
    assert found == lines
    assert unpacker.trouble == ""
    assert unpacker.seal is not None
    assert data.endswith(unpacker.seal)


def test_any_zstd_tool_reads_the_lines_and_passes_over_the_seal() -> None:
    data, lines = recording()
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    assert reader.read() == b"".join(lines)


def test_a_file_cut_anywhere_gives_back_every_append_that_was_whole() -> None:
    lines = sealed(*[Said(seq=i, text="x" * i * 50) for i in range(30)])
    packer = Packer()
    ends, data = [], b""
    for line in lines:
        data += packer.pack(line)
        ends.append(len(data))
    for cut in range(len(data) + 1):
        found, unpacker = unpack(data[:cut])
        whole = sum(end <= cut for end in ends)
        assert found == lines[:whole]
        assert unpacker.good == (ends[whole - 1] if whole else 0)


def test_a_closed_cut_goes_on_with_a_new_frame() -> None:
    lines = sealed(*[Said(seq=i, text="x" * i) for i in range(30)])
    packer = Packer()
    data = b"".join(packer.pack(line) for line in lines[:20])
    _, unpacker = unpack(data[:-1])
    kept = unpacker.lines_at_good
    again = data[: unpacker.good] + unpacker.closing() + packed(lines[kept:])
    assert unpack(again)[0] == lines


def test_large_appends_begin_new_frames_that_decode_alone() -> None:
    text = hashlib.sha256(b"").hexdigest() * 2000
    lines = sealed(*[Said(seq=i, text=f"{i}{text}") for i in range(40)])
    packer = Packer()
    data, began = b"", []
    for line in lines:
        piece = packer.pack(line)
        if packer.frame_began:
            began.append(len(data))
        data += piece
    data += packer.close()
    assert len(began) == sum(map(len, lines)) // FRAME + 1 > 3
    found, unpacker = unpack(data)
    assert found == lines
    assert [at for at, _ in unpacker.frames] == began
    for at, first in unpacker.frames:
        assert unpack(data[at:])[0] == lines[first - 1 :]


def test_verifying_a_file_needs_its_seal() -> None:
    data, lines = recording()
    assert verify_file([data], PUBLIC, session=SESSION).ok
    assert verify_file([data], None).signed == 0
    report = verify_file([packed(lines)], PUBLIC)
    assert report.state is State.UNFINISHED
    assert "seal" in report.why


def test_every_changed_byte_of_a_file_is_found() -> None:
    data, _ = recording()
    for place in range(len(data)):
        for change in (0x01, 0x80, 0xFF):
            changed = data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]
            assert not verify_file([changed], PUBLIC).ok, (place, change)


def test_every_cut_of_a_file_is_found_and_what_was_dropped_or_doubled_inside() -> None:
    data, _ = recording()
    for place in range(len(data)):
        cut = verify_file([data[:place]], PUBLIC)
        assert cut.state is State.UNFINISHED, place
        assert not verify_file([data[:place] + data[place + 1 :]], PUBLIC).ok
        assert not verify_file([data[: place + 1] + data[place:]], PUBLIC).ok
    assert not verify_file([data + b"x"], PUBLIC).ok
    assert not verify_file([data + data], PUBLIC).ok


def test_a_seal_of_another_file_or_key_does_not_fit() -> None:
    data, lines = recording()
    bare = packed(lines, each=3)
    other = verify_file([bare + seal_of(data, lines)], PUBLIC)
    assert "not that of this file" in other.why
    seal = seal_of(bare, lines)
    forged = write_seal(read_seal(seal)[0], lambda _: b"\0" * 64)
    assert "signature" in verify_file([bare + forged], PUBLIC).why
    assert is_closed(seal)
    assert not is_closed(bare)


def test_a_line_without_an_end_is_not_held_for_ever() -> None:
    unpacker = Unpacker()
    packer = Packer()
    for _ in range(LARGEST_LINE // FRAME + 1):
        assert unpacker.feed(packer.pack(b"x" * FRAME)) == []
    assert "longer" in unpacker.trouble
    assert unpacker.feed(b"more") == []
    assert packer.close() == b""


def test_a_seal_before_the_end_is_tampering() -> None:
    lines = sealed(Said(seq=1), closed=False)
    data = packed(lines)
    assert verify_file([data + seal_of(data, lines)], PUBLIC).state is State.BROKEN


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.integers(1, 50))
def test_any_bytes_are_lines_or_trouble(junk: bytes, at: int, size: int) -> None:
    data, lines = recording()
    found, _ = unpack(data[:at] + junk + data[at:], size)
    assert found[:1] == lines[:1] or at < 300
    assert not junk or not verify_file([data[:at] + junk + data[at:]], PUBLIC).ok
