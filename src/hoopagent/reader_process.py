"""The process that reads long texts, so that it may die of them: ``python -m`` this module.

Frames on stdin and stdout: a 4-byte length, then MessagePack.  One question at a time, one answer
each.  Limits on memory, stack and processor time are set before the first byte is read; nothing is
written down, and a crash leaves no core file with a statement in it.
"""

from __future__ import annotations

import resource
import struct
import sys
from typing import BinaryIO

import msgspec

from hoopcore.sql.postgres import read
from hoopcore.statement import Reading

HEADER = struct.Struct(">I")

_MEMORY = 1 << 30  # lists of 4 MiB were measured to take 900 MiB, and much longer than we wait
_STACK = 64 << 20  # deep nesting is then an error of the parser more often than a death
_SECONDS = 3  # of processor time for one text; who asks stops waiting before that


class Question(msgspec.Struct, array_like=True, frozen=True):
    """One call of ``read``."""

    text: bytes
    encoding: str
    standard_strings: bool
    trusted: bool
    functions: frozenset[str]


encoder = msgspec.msgpack.Encoder()
questions = msgspec.msgpack.Decoder(Question)
answers = msgspec.msgpack.Decoder(Reading)


def main() -> None:
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_AS, _MEMORY)
    limit(resource.RLIMIT_STACK, _STACK, soft_only=True)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while (frame := _frame(source)) is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + _SECONDS, soft_only=True)
        asked = questions.decode(frame)
        reading = read(
            asked.text,
            encoding=asked.encoding,
            standard_strings=asked.standard_strings,
            trusted=asked.trusted,
            functions=asked.functions,
        )
        answer = encoder.encode(reading)
        sink.write(HEADER.pack(len(answer)) + answer)
        sink.flush()


def limit(which: int, value: int, *, soft_only: bool = False) -> None:
    """Never more than is allowed already."""
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, hard if soft_only else value))


def _frame(source: BinaryIO) -> bytes | None:
    """The next question, or None when nobody asks any more."""
    header = source.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return source.read(HEADER.unpack(header)[0])


if __name__ == "__main__":
    main()
