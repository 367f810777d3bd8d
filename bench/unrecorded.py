"""An agent without recordings, to see what they cost: ``python -m bench.unrecorded run …``.

Beginning and end of a session are written; what a statement costs the recording is taken out whole,
its event and its redaction with it.
"""

from __future__ import annotations

import sys
from typing import Any

from hoopagent import live
from hoopagent.__main__ import main
from hoopagent.recorder import Recorder


def _nothing(*_: Any, **__: Any) -> None:
    return None


if __name__ == "__main__":
    for name in ("append", "append_later"):
        setattr(Recorder, name, _nothing)
    for name in ("said", "event_of"):
        setattr(live, name, _nothing)
    sys.exit(main())
