"""The file of a recording: lines in zstd frames, and a seal behind the last one.

    frame … frame seal                     a recording that was closed
    frame … frame, the last one open       one that is being written, or whose agent died

Every frame begins with a line, decodes without the others and is flushed at each append, so that a
file cut anywhere gives back all that was whole.  A frame can be closed by three bytes, because it
has no checksum; the chain is the checksum.

The seal is a skippable frame, which every zstd tool passes over: JSON with the SHA-256 of all bytes
before it, where each frame begins, and a signature; then its length and a magic number, so that it
is found from the end of the file.

Order of the file: packing (writer), unpacking (reader), the seal.
"""

from __future__ import annotations

import hashlib
import struct

import msgspec
import zstandard

from hoopcore.recording.chain import Sign

# 64 KiB of window and level 1: 2 µs and 86 bytes for a statement, 330 KB of memory for a session.
# Level 3 costs three times the memory and saves nothing, since each append is a block of its own.
_PARAMETERS = zstandard.ZstdCompressionParameters.from_level(
    1, window_log=16, write_checksum=False, write_content_size=False, write_dict_id=False
)
# Lines a frame holds: what a reader who wants one line has to decode at the most.
FRAME = 1 << 20

_MAGIC = b"\x28\xb5\x2f\xfd"
_CLOSING = b"\x01\x00\x00"  # a last block, raw, of no bytes
_SEAL_MAGIC = b"\x53\x2a\x4d\x18"
_TRAILER = b"hoopseal"
SEAL_TAIL = len(_TRAILER)
_SIGNATURE = b',"signature":"'
# A seal has about 30 bytes for each frame; this is room for a recording of a terabyte.
_LARGEST_SEAL = 64 << 20
# A decoded block is 128 KiB at the most, by the format (RFC 8878, 3.1.1.2.4).
_LARGEST_BLOCK = 128 << 10
# Far above what the recorder writes for one event; a bound for a reader of hostile files.
LARGEST_LINE = 32 << 20

STOPS_INSIDE = "the file stops inside a line"
_PREFIX = b"hoop recording file 1\n"


class Packer:
    """Lines to the bytes of frames."""

    __slots__ = ("_compressor", "_frame", "_room", "frame_began")

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(compression_params=_PARAMETERS)
        self._frame: zstandard.ZstdCompressionObj | None = None
        self._room = 0
        self.frame_began = False  # whether the last ``pack`` began a frame (behind a closed one)

    def pack(self, lines: bytes) -> bytes:
        """Bytes that, appended to the file, make these lines readable."""
        self.frame_began = self._frame is None
        if self._frame is None:
            self._frame = self._compressor.compressobj()
            self._room = FRAME
        packed = self._frame.compress(lines)
        self._room -= len(lines)
        if self._room <= 0:
            return packed + self.close()
        return packed + self._frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def close(self) -> bytes:
        """Bytes that end the open frame; none where there is none."""
        if self._frame is None:
            return b""
        rest = self._frame.flush()
        self._frame = None
        return rest


class Unpacker:
    """The bytes of a file, in any pieces, back to lines.

    Every byte string is taken: where one is no recording (any more), ``trouble`` says why, and
    what came before it has been given back.
    """

    def __init__(self) -> None:
        self.good = 0  # where the last block ends with which a line became whole
        self.open_at_good = False  # whether a frame is open there
        self.frames: list[
            tuple[int, int]
        ] = []  # where each begins: offset, number of its first line
        self.seal: bytes | None = None
        self.digest = hashlib.sha256()  # of what was taken, the seal excepted
        self.lines = 0
        self.lines_at_good = 0
        self.trouble = ""
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_BLOCK)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._buffer = b""
        self._at = 0  # offset in the file of the buffer's first byte
        self._line = b""  # the beginning of a line that is not whole

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that have become whole, newlines included."""
        if self.trouble:
            return []
        self._buffer = self._buffer + data if self._buffer else data
        pieces = [self._line]
        position = 0
        try:
            while size := self._unit(position):
                decoded = self._take(position, size)
                position += size
                if decoded:
                    pieces.append(decoded)
                whole = decoded.endswith(b"\n")
                if whole or (self._frame is None and self.good == self._at + position - size):
                    self.good = self._at + position
                    self.open_at_good = self._frame is not None
                    self.lines_at_good = self.lines
        except (ValueError, zstandard.ZstdError) as problem:
            self.trouble = str(problem)
        self.digest.update(self._buffer[: position - len(self.seal or b"")])
        self._buffer = self._buffer[position:]
        self._at += position
        lines = b"".join(pieces).splitlines(keepends=True)
        self._line = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if len(self._line) > LARGEST_LINE:
            self.trouble = self.trouble or "a line is longer than any that hoop writes"
        return lines

    def finish(self) -> None:
        """No more bytes will come: ``trouble`` now also tells of a file that stops in a line."""
        if not self.trouble and (self._buffer or self._line):
            self.trouble = STOPS_INSIDE

    def closing(self) -> bytes:
        """Bytes that, written at ``good``, leave a file in which a new frame may begin."""
        return _CLOSING if self.open_at_good else b""

    def _unit(self, at: int) -> int:
        """How long the frame header, block or seal at this place is; 0 where it is not whole."""
        have = len(self._buffer) - at
        if self.seal is not None and have:
            raise ValueError("something stands behind the seal")
        if self._frame is not None:
            if have < 3:
                return 0
            header = int.from_bytes(self._buffer[at : at + 3], "little")
            kind, content = header >> 1 & 3, header >> 3
            size = 3 + (1 if kind == 1 else content)
            if kind == 3 or content > _LARGEST_BLOCK:
                raise ValueError("a block has no sense")
        else:
            start = self._buffer[at : at + 8]
            if start.startswith(_SEAL_MAGIC):
                size = 8 + int.from_bytes(start[4:], "little") if have >= 8 else 8
                if size > _LARGEST_SEAL:
                    raise ValueError("the seal has no sense")
            elif _SEAL_MAGIC.startswith(start):
                size = 8
            else:
                size = 6
                if not _MAGIC.startswith(start[:4]) or start[4:5] not in (b"", b"\0"):
                    raise ValueError("no frame begins where one must")
        return size if have >= size else 0

    def _take(self, at: int, size: int) -> bytes:
        unit = self._buffer[at : at + size]
        if self._frame is not None:
            decoded: bytes = self._frame.decompress(unit)
            self.lines += decoded.count(b"\n")
            if unit[0] & 1:
                self._frame = None
            return decoded
        if unit.startswith(_SEAL_MAGIC):
            self.seal = unit
            return b""
        self.frames.append((self._at + at, self.lines + 1))
        self._frame = self._decompressor.decompressobj()
        return self._frame.decompress(unit)


# --- the seal -----------------------------------------------------------------------------------


class Seal(msgspec.Struct):
    """What is said about a closed file as a whole."""

    format: int
    session: str
    lines: int
    head: str  # hash of the last line
    file: str  # SHA-256 of every byte before the seal
    frames: list[tuple[int, int]]  # where each frame begins: offset, number of its first line
    signature: str = ""


def write_seal(seal: Seal, sign: Sign) -> bytes:
    """The seal's bytes, signed."""
    seal.signature = ""
    body = msgspec.json.encode(seal).removesuffix(b',"signature":""}')
    text = body + _SIGNATURE + sign(_PREFIX + body).hex().encode() + b'"}'
    size = len(text) + 4 + len(_TRAILER)
    return struct.pack("<4sI", _SEAL_MAGIC, size) + text + struct.pack("<I", len(text)) + _TRAILER


def read_seal(data: bytes) -> tuple[Seal, bytes, bytes]:
    """(seal, signed bytes, signature) of a seal's bytes; ValueError where they are none."""
    text = data[8 : -4 - len(_TRAILER)]
    try:
        seal = msgspec.json.decode(text, type=Seal)
    except msgspec.MsgspecError as problem:
        raise ValueError("the seal cannot be read") from problem
    signature = bytes.fromhex(seal.signature)
    if write_seal(seal, lambda _: signature) != data:
        raise ValueError("the seal is not as hoop writes it")
    return seal, _PREFIX + text[: -len(_SIGNATURE) - 2 * len(signature) - 2], signature


def is_closed(tail: bytes) -> bool:
    """Whether these last bytes of a file are those of a seal."""
    return tail.endswith(_TRAILER)
