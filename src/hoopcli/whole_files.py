"""Files that are replaced whole: whoever reads one sees the old or the new, never a part."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace(path: Path, content: bytes, mode: int = 0o600) -> None:
    """The whole file or none of it, on the disk when this returns; OSError names the file."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(mode)
        draft.replace(path)
    except BaseException as problem:
        draft.unlink(missing_ok=True)
        if isinstance(problem, OSError) and problem.filename is None:  # a full disk names none
            problem.filename = str(path)
        raise
