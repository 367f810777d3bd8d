"""A part of somebody's file that is ours: between two lines that say so, and nothing outside them.

What stands before and behind is kept byte for byte, whatever it is.  Writing the same twice changes
nothing, and taking our part out gives back the file as it was.
"""

from __future__ import annotations

from pathlib import Path

from hoopcli import whole_files
from hoopcli.errors import Failure

BEGIN = b"# >>> hoop: written by `hoop config`, changes in here are lost >>>\n"
END = b"# <<< hoop <<<\n"


def outside(content: bytes) -> bytes:
    """The file without our part.  Failure where only one of the two lines is there."""
    first, begin, rest = content.partition(BEGIN)
    _, end, last = rest.partition(END)
    if bool(begin) != bool(end) or BEGIN in last:
        raise ValueError("hoop's part of it has lost its first or last line")
    found = first + last if begin else content
    if BEGIN.rstrip() in found or END.rstrip() in found:
        raise ValueError("hoop's part of it was changed by something else (its line ends?)")
    return found


def inside(content: bytes) -> bytes:
    """Our part of the file; nothing where there is none."""
    outside(content)
    return content.partition(BEGIN)[2].partition(END)[0]


def inserted(content: bytes, part: bytes, *, on_top: bool) -> bytes:
    """The file with this part in place of ours; a new one goes on top, or to the end.

    Behind a last line without an end there is no place that could be given back as it was.
    """
    if not part.endswith(b"\n"):
        part += b"\n"
    ours = BEGIN + part + END
    bare = outside(content)
    if BEGIN in content:
        place = content.index(BEGIN)
        return bare[:place] + ours + bare[place:]
    return ours + bare if on_top or not bare.endswith(b"\n") else bare + ours


def write(path: Path, part: bytes | None, *, on_top: bool = False) -> bool:
    """Puts our part into the file, or takes it out for None; whether that changed anything.

    A file behind a link stays there.  A new file is for its owner alone; an old one keeps its mode.
    """
    path = path.resolve()
    try:
        before = path.read_bytes()
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        before, mode = b"", 0o600
    try:
        after = outside(before) if part is None else inserted(before, part, on_top=on_top)
    except ValueError as problem:
        raise Failure(f"{path}: {problem}", "Put it right by hand, and try again.") from problem
    if after == before:
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    whole_files.replace(path, after, mode)
    return True
