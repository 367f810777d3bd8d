"""Reads texts for the relay: short ones at once, long ones in a process that may die.

The parser is C, and a long text can kill it or keep it busy for seconds.  So a text of more than
``IN_PROCESS`` bytes is read by another process, under limits; when that one dies, or takes longer
than ``PATIENCE``, the text is unreadable and another process takes its place.  Texts wait in the
order in which they came; a session waits for its text before it has another one read.

Readings are kept by what a text says when its constants are left out (``hoopcore.sql.shapes``),
and by the text itself where a constant's value has a part in it.

Order: what the relay calls, the caches, the process.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

import msgspec
import structlog

from hoopagent.reader_process import HEADER, Question, answers, encoder
from hoopcore.sql.postgres import IN_PROCESS, LARGEST, read
from hoopcore.sql.shapes import Shape, is_free, moved, shape_of
from hoopcore.statement import Reading, unreadable

log = structlog.get_logger()

PATIENCE = 2.0  # seconds for one text, counted from when the process gets it
STARTING = 30.0  # seconds for a new process to be ready, on a busy machine
WAITING = 64 << 20  # bytes of texts that may wait; what comes above is unreadable at once

# Of each of the three caches.
_CACHED_ENTRIES = 4096
_CACHED_BYTES = 2 << 20  # of texts; readings take a few times that
_LARGEST_ANSWER = 256 << 20
_SOURCE = str(Path(__file__).resolve().parents[1])  # both run the same code, installed or not

Meaning: TypeAlias = tuple[str, bool, bool, frozenset[str]]
"""What a text's meaning hangs on beside the text."""
Wish: TypeAlias = tuple[Question, "asyncio.Future[Reading]"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Kept(Generic[K, V]):
    """The newest of what was found, within bounds; what was used last goes last."""

    def __init__(self) -> None:
        self._found: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    def find(self, key: K) -> V | None:
        found = self._found.get(key)
        if found is None:
            return None
        self._found.move_to_end(key)
        return found[0]

    def keep(self, key: K, value: V, size: int) -> None:
        self._found[key] = (value, size)
        self._bytes += size
        while len(self._found) > _CACHED_ENTRIES or self._bytes > _CACHED_BYTES:
            _, (_, gone) = self._found.popitem(last=False)
            self._bytes -= gone


class Reader:
    """``start`` before the first long text, ``close`` at the end; ``read`` never raises."""

    def __init__(self) -> None:
        self._shapes: _Kept[tuple[bytes, tuple[int, ...], Meaning], Reading] = _Kept()
        self._firsts: _Kept[tuple[bytes, Meaning], tuple[Shape, Reading]] = _Kept()
        self._texts: _Kept[tuple[bytes, Meaning], Reading] = _Kept()
        self._wishes: asyncio.Queue[Wish] = asyncio.Queue()
        self._waiting = 0
        self._worker: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """A process is started and waits, so that the first long text does not wait for it."""
        self._process = await _spawn()
        self._worker = asyncio.get_running_loop().create_task(self._work())

    def read(
        self,
        text: bytes,
        *,
        settings: Mapping[str, str],
        trusted: bool,
        functions: frozenset[str],
    ) -> Reading | asyncio.Future[Reading]:
        """What a text does, at once where it is short, else in a future that never fails.

        ``settings`` are those the target reported; one that is missing is taken for unknown.
        """
        encoding = settings.get("client_encoding", "")
        standard = settings.get("standard_conforming_strings") == "on"
        if len(text) > LARGEST:
            return unreadable("it is longer than 4 MiB")
        if len(text) > IN_PROCESS:
            return self._later(Question(text, encoding, standard, trusted, functions))
        text = bytes(text)
        meaning = (encoding, standard, trusted, functions)
        # A constant in a backslash's or an unknown setting's reach has no shape to be told by.
        shape = shape_of(text) if standard and trusted else None
        if shape is not None:
            known = self._shapes.find((shape.key, shape.sizes, meaning))
            if known is not None:
                return known
        return self._read(text, shape, meaning)

    def _read(self, text: bytes, shape: Shape | None, meaning: Meaning) -> Reading:
        """By the shape's first text, by the text itself, or by the grammar."""
        first = None if shape is None else self._firsts.find((shape.key, meaning))
        if shape is not None and first is not None:
            reading = moved(first[1], first[0], shape)
            self._shapes.keep((shape.key, shape.sizes, meaning), reading, len(text))
            return reading
        known = self._texts.find((text, meaning))
        if known is not None:
            return known
        encoding, standard, trusted, functions = meaning
        reading = read(
            text,
            encoding=encoding,
            standard_strings=standard,
            trusted=trusted,
            functions=functions,
        )
        if shape is not None and is_free(text, reading):
            self._firsts.keep((shape.key, meaning), (shape, reading), len(text))
        else:
            self._texts.keep((text, meaning), reading, len(text))
        return reading

    def _later(self, question: Question) -> Reading | asyncio.Future[Reading]:
        if self._worker is None or self._worker.done():
            return unreadable("the reader process is not there")
        if self._waiting + len(question.text) > WAITING:
            return unreadable("too many long texts wait to be read")
        future: asyncio.Future[Reading] = asyncio.get_running_loop().create_future()
        self._waiting += len(question.text)
        self._wishes.put_nowait((question, future))
        return future

    # --- the process --------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            question, future = await self._wishes.get()
            try:
                if not future.done():  # whoever asked may have left
                    reading = await self._ask(question)
                    if not future.done():
                        future.set_result(reading)
            except Exception as problem:  # noqa: BLE001 - the border: this text is unreadable
                log.error("reader.failed", problem=type(problem).__name__)
                await self._drop()
            finally:
                self._waiting -= len(question.text)
                if not future.done():
                    future.set_result(unreadable("the reader process failed"))

    async def _ask(self, question: Question) -> Reading:
        try:
            if self._process is None:
                async with asyncio.timeout(STARTING):
                    self._process = await _spawn()
            async with asyncio.timeout(PATIENCE):
                return await _converse(self._process, question)
        except TimeoutError:
            why = "it took too long to read"
        except (OSError, EOFError, msgspec.MsgspecError):
            why = "the reader process died of it"
        log.warning("reader.replaced", why=why, bytes=len(question.text))
        await self._drop()
        with suppress(OSError, TimeoutError):  # else the next text tries again
            async with asyncio.timeout(STARTING):
                self._process = await _spawn()
        return unreadable(why)

    async def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def close(self) -> None:
        """The process is gone and every text that still waits is unreadable."""
        if self._worker is not None:
            self._worker.cancel()
            with suppress(asyncio.CancelledError):
                await self._worker
        await self._drop()
        while not self._wishes.empty():
            question, future = self._wishes.get_nowait()
            self._waiting -= len(question.text)
            if not future.done():
                future.set_result(unreadable("the reader process was stopped"))


async def _spawn() -> asyncio.subprocess.Process:
    """A process that has loaded the parser and waits for a text; OSError where it cannot be had."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-s", "-m", "hoopagent.reader_process"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # what C code writes there may hold a statement
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONPATH": _SOURCE},
        cwd="/",
        start_new_session=True,  # Ctrl-C at the agent's terminal is the agent's
    )
    try:
        await _converse(process, Question(b"select 1", "UTF8", True, True, frozenset()))
    except (EOFError, msgspec.MsgspecError):
        with suppress(ProcessLookupError):
            process.kill()  # one that answers something else is still there
        await process.wait()
        raise OSError("the reader process did not start") from None
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return process


async def _converse(process: asyncio.subprocess.Process, question: Question) -> Reading:
    """One question and its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    asked = encoder.encode(question)
    process.stdin.write(HEADER.pack(len(asked)) + asked)
    await process.stdin.drain()
    size = HEADER.unpack(await process.stdout.readexactly(HEADER.size))[0]
    if size > _LARGEST_ANSWER:
        raise EOFError
    return answers.decode(await process.stdout.readexactly(size))
