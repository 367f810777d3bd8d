"""One archive with all about a session: recording, grants, requests and their votes, audit, report.

The agent makes it and signs it, with the key of its recordings: whoever may read the recording gets
it, and whoever has the public key can check it without hoop's store (``recording.archive``).  A
recording goes in as it is; the other files are small.

Order of the file: what is gathered, the files, the zip.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hoopagent import recordings
from hoopagent.means import Means, View
from hoopagent.recording_keys import RecordingKeys
from hoopagent.request_views import views
from hoopagent.store import AuditQuery
from hoopcore import audit
from hoopcore.model import Principal, Session, Time, rfc3339
from hoopcore.recording import Header, Policy, Report, Said, verify_file
from hoopcore.recording.archive import (
    MANIFEST,
    RECORDING,
    REPORT,
    SESSION,
    SIGNATURE,
    Entry,
    entry,
    manifest,
    signature,
)
from hoopcore.recording.page import page

# Requests and holds of one session, and rows of the audit about it.
_MOST = 1_000
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can have


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the store knows of a session, as the API gives it."""

    session: View
    grants: list[View]
    requests: list[View]
    audit: list[View]


@dataclass(frozen=True, slots=True)
class Making:
    """Whose archive it becomes, and when."""

    session: Session
    made_for: Principal
    at: Time
    version: str  # of the agent
    keys: RecordingKeys
    path: Path  # of the recording


# --- what is gathered -----------------------------------------------------------------------------


async def gather(
    means: Means, session: Session, shown: View, holds: Sequence[str], now: Time
) -> Gathered:
    """The grants it rested on, the requests they came from, its holds, the audit of all that."""
    store = means.store
    grants = [grant for id in session.grants if (grant := await store.grant(id)) is not None]
    ids = [grant.request for grant in grants]
    ids += [one for one in holds if one not in ids]
    requests = await store.requests(ids=ids, limit=_MOST) if ids else []
    votes = await store.votes_on(ids) if ids else {}
    about = [session.id, *session.grants, *ids]
    rows = await store.audit_rows(AuditQuery(about=about), _MOST)
    return Gathered(
        shown,
        [
            {
                "id": grant.id,
                "request": grant.request,
                "principal": grant.principal,
                "target": grant.target,
                "scope": str(grant.scope),
                "not_before": rfc3339(grant.not_before),
                "not_after": rfc3339(grant.not_after),
                "state": grant.state.value,
                "ended_at": None if grant.ended_at is None else rfc3339(grant.ended_at),
                "ended_by": grant.ended_by,
                "ended_why": grant.ended_why,
            }
            for grant in grants
        ],
        [
            {**told, "policy_version": request.policy_version}
            for request, told in zip(
                requests, await views(means, requests, votes, now), strict=True
            )
        ],
        [audit.view(row) for row in rows],
    )


def holds_in(path: Path) -> list[str]:
    """The requests that statements of a recording waited for; for a thread."""
    found: dict[str, None] = {}
    for event in recordings.read(path):
        if isinstance(event, Said) and event.hold and len(found) < _MOST:
            found[event.hold] = None
    return list(found)


# --- the files ------------------------------------------------------------------------------------


def made(making: Making, gathered: Gathered) -> IO[bytes]:
    """The archive, in a file without a name; for a thread, since it reads all of a recording."""
    # Beside the recording: where that had room, and nobody else may look.
    file = tempfile.TemporaryFile(dir=making.path.parent)  # noqa: SIM115 - whoever sends it closes it
    try:
        _write(file, making, gathered)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _write(file: IO[bytes], making: Making, gathered: Gathered) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        entries = [_recording(archive, making)]
        report, policies = _verified(making)
        small = {
            SESSION: gathered.session,
            "grants.json": gathered.grants,
            "requests.json": gathered.requests,
            "policy.json": {"versions": policies},
            "audit.json": gathered.audit,
            "verification.json": _told(report, making),
        }
        for name, value in small.items():
            entries.append(_put(archive, name, _json(value)))
        entries.append(_page(archive, making, gathered, report))
        told = manifest(
            making.session.id,
            making.at,
            making.made_for.id,
            making.version,
            making.keys.public,
            entries,
        )
        _put(archive, MANIFEST, told)
        _put(archive, SIGNATURE, signature(told, making.keys.signing.sign))


def _verified(making: Making) -> tuple[Report, list[str]]:
    """What verifying it finds, and the versions of the policy it was judged under."""
    session = making.session
    report = verify_file(
        recordings.pieces(making.path), making.keys.public, session=session.id, head=session.head
    )
    versions: dict[str, None] = {}
    for event in recordings.read(making.path):
        if isinstance(event, Header):
            versions[event.policy] = None
        elif isinstance(event, Policy):
            versions[event.version] = None
    return report, [version for version in versions if version]


def _told(report: Report, making: Making) -> View:
    return {
        "state": str(report.state),
        "why": report.why,
        "bad_line": report.bad,
        "lines": report.lines,
        "signed_up_to": report.signed,
        "head": report.head,
        "key": making.keys.id,
    }


# --- the zip --------------------------------------------------------------------------------------


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True).encode() + b"\n"


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> Entry:
    archive.writestr(_info(name), data)
    return entry(name, data)


def _stream(archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: Iterator[bytes]) -> Entry:
    digest, size = hashlib.sha256(), 0
    with archive.open(info, "w", force_zip64=True) as out:
        for piece in data:
            digest.update(piece)
            size += len(piece)
            out.write(piece)
    return Entry(info.filename, size, digest.hexdigest())


def _recording(archive: zipfile.ZipFile, making: Making) -> Entry:
    info = _info(RECORDING)
    info.compress_type = zipfile.ZIP_STORED  # it is packed already
    return _stream(archive, info, recordings.pieces(making.path))


def _page(archive: zipfile.ZipFile, making: Making, gathered: Gathered, report: Report) -> Entry:
    pieces = page(
        recordings.read(making.path),
        report=report,
        key=making.keys.id,
        made=rfc3339(making.at),
        grants=gathered.grants,
        requests=gathered.requests,
    )
    return _stream(archive, _info(REPORT), (piece.encode("utf-8", "replace") for piece in pieces))


def sent(file: IO[bytes]) -> Iterator[bytes]:
    """Its bytes, piece by piece; it is gone afterwards, also where nobody took all of them."""
    with file:
        while piece := file.read(recordings.PIECE):
            yield piece
