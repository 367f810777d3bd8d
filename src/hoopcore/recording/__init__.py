"""Recordings: the ordered, append-only evidence of a session.

``events`` says what is told, ``chain`` seals lines, ``frames`` packs them into a file, ``report``
verifies all of it, ``redaction`` keeps masked values out of it.  The format is written down in
docs/reference/recording.md.
"""

from hoopcore.recording.chain import Chain, key_id
from hoopcore.recording.events import (
    END_CAUSES,
    FORMAT,
    Copied,
    Cut,
    End,
    EndCause,
    Event,
    Fatal,
    File,
    Finished,
    Head,
    Header,
    Known,
    Notice,
    Other,
    Policy,
    Rows,
    Said,
    Terminal,
    Totals,
    Unmasked,
    event_of_line,
    events,
    touches_of,
)
from hoopcore.recording.report import FileVerifier, Report, State, Verifier, verify, verify_file

__all__ = [
    "END_CAUSES",
    "FORMAT",
    "Chain",
    "Copied",
    "Cut",
    "End",
    "EndCause",
    "Event",
    "Fatal",
    "File",
    "FileVerifier",
    "Finished",
    "Head",
    "Header",
    "Known",
    "Notice",
    "Other",
    "Policy",
    "Report",
    "Rows",
    "Said",
    "State",
    "Terminal",
    "Totals",
    "Unmasked",
    "Verifier",
    "event_of_line",
    "events",
    "key_id",
    "touches_of",
    "verify",
    "verify_file",
]
