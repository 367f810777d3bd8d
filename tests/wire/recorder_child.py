"""A process that records statements and tells each one after ``append`` returned.

    python -m tests.wire.recorder_child FOLDER SESSION DURABILITY COUNT [LIMIT]

Writes ``n`` lines of digits to stdout; a test kills it, or LIMIT bounds how large its file may get.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

from hoopagent.recorder import Recorder, RecorderFailed
from hoopagent.recording_keys import RecordingKeys
from hoopcore.recording import Finished, Header, Said


async def main(folder: Path, session: str, durability: str, count: int, limit: int) -> None:
    keys = RecordingKeys.open(folder / "keys")
    header = Header(session=session, principal="p-0123456789", target="t", durability=durability)
    recorder = await Recorder.create(folder / "recordings", header, keys)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        for seq in range(1, count + 1):
            # Texts of very different sizes, so that appends of many blocks are cut too.
            text = f"select {seq} /* {os.urandom(2 ** (seq % 16)).hex()} */"
            durable = recorder.append(Said(seq=seq, text=text))
            if durable is not None:
                await durable
            os.write(1, b"%d\n" % seq)
            recorder.append(Finished(seq=seq, rows=1))
            if seq % 8 == 0:
                await asyncio.sleep(0)
    except RecorderFailed as problem:
        os.write(1, b"failed %s\n" % str(problem).encode())


if __name__ == "__main__":
    arguments = [*sys.argv[1:], "0"]
    asyncio.run(
        main(Path(arguments[0]), arguments[1], arguments[2], int(arguments[3]), int(arguments[4]))
    )
