"""The two ways to find frames find the same, whatever the bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hoopcore.protocols.postgres import row_frames
from hoopcore.protocols.postgres.row_frames import frames_of

D = ord("D")


def naive(data: bytes) -> tuple[list[int], int]:
    """Frame by frame, by nothing that the product reads with."""
    starts, at = [], 0
    while at + 5 <= len(data):
        (length,) = struct.unpack_from("!I", data, at + 1)
        if data[at] != D or length < 4 or at + 1 + length > len(data):
            break
        starts.append(at)
        at += 1 + length
    return starts, at


def frame(body: bytes, kind: bytes = b"D") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


# Bodies that look like heads, lengths that lead anywhere, other kinds, and what is no frame.
HEADS = st.sampled_from(
    [b"", b"x", b"D", b"D\0", b"D\0\0\0\x04", b"D\0\0\0\x09abcde", b"\0" * 9, b"D" * 9,
     b"D\xff\xff\xff\xff", b"a long value that is no head"]
)  # fmt: skip
PIECES = st.one_of(
    st.lists(HEADS, max_size=4).map(b"".join).map(frame),
    st.lists(HEADS, max_size=4).map(b"".join).map(frame),
    st.lists(HEADS, max_size=4).map(b"".join).map(frame),
    st.sampled_from(
        [frame(b"SELECT 1\0", b"C"), b"D\0\0\0\x03", b"D\0\0\x10\0", b"D\xff\xff\xff\xff"]
    ),
    st.binary(max_size=8),
)  # fmt: skip


@pytest.mark.parametrize("large", [0, 1 << 30])
@settings(max_examples=600, deadline=None)
@given(pieces=st.lists(PIECES, max_size=40), before=st.binary(max_size=3))
@example(pieces=[frame(b"D\0\0\0\x05D\0\0\0\x04") for _ in range(40)], before=b"")
@example(pieces=[frame(b""), frame(b"")], before=b"")
def test_frames_are_those_that_lead_from_one_to_the_next(
    large: int, pieces: list[bytes], before: bytes
) -> None:
    data = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_frames, "LARGE", large)
        if large == 0 and len(data) < 5:
            return
        whole = memoryview(before + data + b"beyond")
        starts, end = frames_of(D, whole, len(before), len(before) + len(data))
    assert (list(map(int, starts)), end) == naive(data)


def test_a_frame_of_more_than_16_mib_is_found_too() -> None:
    data = frame(b"a") * 3000 + frame(bytes(17 << 20)) + frame(b"D\0\0\0\x04") * 3000 + b"D\0\0"
    starts, end = frames_of(D, memoryview(data), 0, len(data))
    assert (list(map(int, starts)), end) == naive(data)
    assert len(starts) == 6001
