"""Archives of evidence: is every byte in one what its agent signed?

An archive is read where it lies and never unpacked; what it says of sizes is not believed.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

from hoopcore.recording import Report, verify_file
from hoopcore.recording.archive import (
    LARGEST_MANIFEST,
    MANIFEST,
    MOST_FILES,
    RECORDING,
    SESSION,
    SIGNATURE,
    Manifest,
    misfit,
    read_manifest,
)

_PIECE = 256 << 10
_LARGEST_SESSION = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """What checking an archive found."""

    why: str  # empty where all of it is as it was signed
    manifest: Manifest | None = None
    report: Report | None = None  # on the recording in it

    @property
    def ok(self) -> bool:
        return not self.why


def is_archive(data: bytes) -> bool:
    """Whether these first bytes are those of a zip."""
    return data[:4] == b"PK\x03\x04"


def checked(data: bytes, key: bytes | None) -> Found:
    """The archive's manifest, its files and its recording, all by one key."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _checked(archive, key)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, KeyError):
        return Found("it is damaged, or no archive of hoop's")
    except Exception as problem:  # noqa: BLE001 - zlib's errors have no class in common
        return Found(f"it cannot be read: {type(problem).__name__}")


def _checked(archive: zipfile.ZipFile, key: bytes | None) -> Found:
    names = archive.namelist()
    if len(names) > MOST_FILES or len(set(names)) != len(names):
        return Found("it has more files than hoop makes, or one of them twice")
    manifest = _small(archive, MANIFEST, LARGEST_MANIFEST)
    found = read_manifest(manifest, _small(archive, SIGNATURE, 1_000), key)
    told = found.manifest
    if told is None or not found.ok:
        return Found(found.why, told)
    most = {one.name: one.size for one in told.files}
    files = {name: _digest(archive, name, most.get(name, 0)) for name in names}
    why = misfit(told, {k: v for k, v in files.items() if k not in (MANIFEST, SIGNATURE)})
    if why:
        return Found(why, told)
    head = json.loads(_small(archive, SESSION, _LARGEST_SESSION)).get("head") or ""
    with archive.open(RECORDING) as recording:
        pieces = iter(lambda: recording.read(_PIECE), b"")
        report = verify_file(pieces, key, session=told.session, head=head)
    if report.ok:
        return Found("", told, report)
    where = f" at line {report.bad}" if report.bad else ""
    return Found(f"its recording does not verify{where}: {report.why}", told, report)


def _small(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The bytes of a file; ValueError where there are more than it can have."""
    with archive.open(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{name} is too large")
    return data


def _digest(archive: zipfile.ZipFile, name: str, most: int) -> tuple[int, str]:
    """(size, SHA-256) of a file; of one that is larger than was said, of its beginning."""
    digest, size = hashlib.sha256(), 0
    with archive.open(name) as file:
        while (piece := file.read(_PIECE)) and size <= max(most, LARGEST_MANIFEST):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def told(found: Found, file: str) -> dict[str, Any]:
    """What was found, as it is shown."""
    manifest, report = found.manifest, found.report
    header = report.header if report is not None else None
    return {
        "file": file,
        "session": manifest.session if manifest else "",
        "who": (header.name or header.principal) if header else "",
        "target": header.target if header else "",
        "state": "complete and unchanged" if found.ok else "not to be trusted",
        "made": manifest.made if manifest else "",
        "for": manifest.made_for if manifest else "",
        "files": ", ".join(one.name for one in manifest.files) if manifest else "",
        "lines": report.lines if report else "",
        "key": manifest.key if manifest else "",
        "why": found.why,
    }
