"""The bytes of the PostgreSQL protocol, version 3.0: the fields in its frames, and builders.

A frame is a type byte, a length that counts itself, and a body.  Lengths from the wire are checked
before they index anything; what does not fit is a ``ProtocolError``.

Order of the file: numbers, reading bodies, what the bodies say, building frames.
Cutting frames out of what comes is ``incoming.py``.
Source: PostgreSQL's documentation, chapter "Frontend/Backend Protocol", "Message Formats".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from struct import Struct
from struct import error as StructError
from typing import Final, NamedTuple

from hoopcore.stream import ProtocolError

# --- numbers ----------------------------------------------------------------------------------

# PostgreSQL itself stops at 1 GiB.  64 MiB is the largest message we are willing to hold; above it
# the session ends, since what we cannot read we do not forward.
MAX_FRAME: Final = 64 << 20
# PostgreSQL's own MAX_STARTUP_PACKET_LENGTH.
MAX_STARTUP = 10_000

PROTOCOL_3_0 = 196_608
PROTOCOL_3_2 = 196_610
CANCEL_REQUEST = 80_877_102
SSL_REQUEST = 80_877_103
GSSENC_REQUEST = 80_877_104

HEADER = Struct(">BI")
INT16 = Struct(">h")
UINT16 = Struct(">H")
INT32 = Struct(">i")
UINT32 = Struct(">I")
_FIELD = Struct(">IhIhih")  # table, attribute, type, size, modifier, format

# Kinds of message are the number of their type byte, which is what indexing bytes gives.
# Those the client sends:
BIND: Final = 0x42  # B
CLOSE: Final = 0x43  # C
COPY_DATA: Final = 0x64  # d
COPY_DONE: Final = 0x63  # c
COPY_FAIL: Final = 0x66  # f
DESCRIBE: Final = 0x44  # D
EXECUTE: Final = 0x45  # E
FLUSH: Final = 0x48  # H
FUNCTION_CALL: Final = 0x46  # F
PARSE: Final = 0x50  # P
PASSWORD: Final = 0x70  # p
QUERY: Final = 0x51  # Q
SYNC: Final = 0x53  # S
TERMINATE: Final = 0x58  # X
# Those the target sends (CopyData and CopyDone have the same type in both directions):
AUTHENTICATION: Final = 0x52  # R
BACKEND_KEY_DATA: Final = 0x4B  # K
BIND_COMPLETE: Final = 0x32  # 2
CLOSE_COMPLETE: Final = 0x33  # 3
COMMAND_COMPLETE: Final = 0x43  # C
COPY_IN: Final = 0x47  # G
COPY_OUT: Final = 0x48  # H
COPY_BOTH: Final = 0x57  # W
DATA_ROW: Final = 0x44  # D
EMPTY_QUERY: Final = 0x49  # I
ERROR: Final = 0x45  # E
FUNCTION_RESULT: Final = 0x56  # V
NEGOTIATE: Final = 0x76  # v
NO_DATA: Final = 0x6E  # n
NOTICE: Final = 0x4E  # N
NOTIFICATION: Final = 0x41  # A
PARAMETER_DESCRIPTION: Final = 0x74  # t
PARAMETER_STATUS: Final = 0x53  # S
PARSE_COMPLETE: Final = 0x31  # 1
PORTAL_SUSPENDED: Final = 0x73  # s
READY: Final = 0x5A  # Z
ROW_DESCRIPTION: Final = 0x54  # T

FROM_CLIENT = frozenset(b"BCdcfDEHFPQSX")
"""What a client may send after login."""
FROM_TARGET = frozenset(b"23CGHDIEVnNAtS1sZTdc")
"""What a target may send after login.  CopyBoth is replication's, which we do not speak."""

TEXT_FORMAT: Final = 0
BINARY_FORMAT: Final = 1


# --- reading bodies -----------------------------------------------------------------------------


class Body:
    """Reads the body of a message from front to back."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def _unpack(self, what: Struct) -> int:
        try:
            (value,) = what.unpack_from(self.data, self.at)
        except StructError:
            raise ProtocolError("a message ends inside a number") from None
        self.at += what.size
        number: int = value
        return number

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise ProtocolError("a message ends too early")
        self.at += 1
        return self.data[self.at - 1]

    def int16(self) -> int:
        return self._unpack(INT16)

    def uint16(self) -> int:
        return self._unpack(UINT16)

    def int32(self) -> int:
        return self._unpack(INT32)

    def uint32(self) -> int:
        return self._unpack(UINT32)

    def cstring(self) -> bytes:
        """The bytes up to the next NUL, which is read too."""
        stop = self.data.find(b"\0", self.at)
        if stop < 0:
            raise ProtocolError("a text in a message has no end")
        text = self.data[self.at : stop]
        self.at = stop + 1
        return text

    def take(self, size: int) -> bytes:
        if size < 0 or size > len(self.data) - self.at:
            raise ProtocolError("a message is shorter than a length in it says")
        self.at += size
        return self.data[self.at - size : self.at]

    def value(self) -> bytes | None:
        """A length and as many bytes; length -1 is NULL."""
        size = self.int32()
        return None if size == -1 else self.take(size)

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)

    def end(self) -> None:
        """Nothing may be left."""
        if self.at != len(self.data):
            raise ProtocolError("a message is longer than what is in it")


# --- what the bodies say ------------------------------------------------------------------------


class Field(NamedTuple):
    """One column of a RowDescription."""

    name: str  # bytes that are not UTF-8 are escaped: for people and for looking up
    table: int  # oid; 0 where the column is not simply one of a table
    attnum: int
    type: int
    size: int
    modifier: int
    format: int  # 0 text, 1 binary; 0 while it is not known (Describe of a statement)


def row_description(body: bytes) -> tuple[Field, ...]:
    """The columns of a result, from the body of a RowDescription."""
    reader = Body(body)
    fields = []
    for _ in range(reader.uint16()):
        name = reader.cstring().decode("utf-8", "backslashreplace")
        numbers = _FIELD.unpack(reader.take(_FIELD.size))
        fields.append(Field(name, *numbers))
    reader.end()
    return tuple(fields)


def error_fields(body: bytes) -> dict[str, bytes]:
    """The fields of an ErrorResponse or NoticeResponse by their letter.

    ``S`` severity (translated), ``V`` severity (never translated), ``C`` SQLSTATE, ``M`` message,
    ``D`` detail, ``H`` hint.  A letter that comes twice counts once, the first.
    """
    reader = Body(body)
    fields: dict[str, bytes] = {}
    while letter := reader.byte():
        fields.setdefault(chr(letter), reader.cstring())
    reader.end()
    return fields


def is_fatal(fields: Mapping[str, bytes]) -> bool:
    """Whether the target ends the connection with this error."""
    return fields.get("V", fields.get("S", b"")) in (b"FATAL", b"PANIC")


def sqlstate(fields: Mapping[str, bytes]) -> str:
    """The five letters of the error; ``XX000`` where there are none."""
    code = fields.get("C", b"")
    return code.decode("ascii") if len(code) == 5 and code.isalnum() else "XX000"


def parameter(body: bytes) -> tuple[str, str]:
    """Name and value of a ParameterStatus."""
    reader = Body(body)
    name = reader.cstring().decode("utf-8", "backslashreplace")
    value = reader.cstring().decode("utf-8", "backslashreplace")
    reader.end()
    return name, value


def startup_parameters(body: bytes) -> dict[bytes, bytes]:
    """The names and values of a startup packet, behind its version number.

    A name that comes twice is refused: which one holds is not the same everywhere.
    """
    reader = Body(body)
    found: dict[bytes, bytes] = {}
    while name := reader.cstring():
        if name in found:
            raise ProtocolError("a startup parameter is given twice")
        found[name] = reader.cstring()
    reader.end()
    return found


# --- building frames ----------------------------------------------------------------------------


def frame(kind: int, body: bytes = b"") -> bytes:
    """A whole message of this kind (a number, such as ``wire.QUERY``)."""
    return HEADER.pack(kind, len(body) + 4) + body


def cstring(text: bytes | str) -> bytes:
    """The text with its closing NUL; a NUL inside it is a ValueError."""
    data = text.encode() if isinstance(text, str) else text
    if b"\0" in data:
        raise ValueError("a text on the wire holds no NUL")
    return data + b"\0"


def _printable(text: str, encoding: str) -> bytes:
    """The text as that client can read it: UTF-8, or else ASCII; never a NUL."""
    codec = "utf-8" if encoding.upper() in ("UTF8", "UTF-8", "UNICODE") else "ascii"
    return text.replace("\0", " ").encode(codec, "replace")


def _report(kind: int, fields: Iterable[tuple[str, str]], encoding: str) -> bytes:
    parts = [
        letter.encode("ascii") + cstring(_printable(text, encoding))
        for letter, text in fields
        if text
    ]
    return frame(kind, b"".join(parts) + b"\0")


def error_response(
    severity: str, code: str, message: str, hint: str = "", *, encoding: str = "UTF8"
) -> bytes:
    """An ErrorResponse.  Severity is ``ERROR`` or ``FATAL``; an empty hint is left out.

    ``encoding`` is the client's client_encoding; where it is not UTF8 other letters become "?".
    """
    fields = (("S", severity), ("V", severity), ("C", code), ("M", message), ("H", hint))
    return _report(ERROR, fields, encoding)


def notice_response(
    message: str,
    hint: str = "",
    *,
    severity: str = "NOTICE",
    code: str = "00000",
    encoding: str = "UTF8",
) -> bytes:
    """A NoticeResponse."""
    fields = (("S", severity), ("V", severity), ("C", code), ("M", message), ("H", hint))
    return _report(NOTICE, fields, encoding)


def parameter_status(name: str, value: str) -> bytes:
    return frame(PARAMETER_STATUS, cstring(name) + cstring(value))


def backend_key_data(pid: int, secret: bytes) -> bytes:
    return frame(BACKEND_KEY_DATA, UINT32.pack(pid) + secret)


def ready_for_query(status: bytes = b"I") -> bytes:
    """``I`` idle, ``T`` in a transaction, ``E`` in a failed one."""
    return frame(READY, status)


def authentication(code: int, data: bytes = b"") -> bytes:
    """0 ok, 3 password, 5 md5, 10 SASL (list of mechanisms), 11 SASL continue, 12 SASL final."""
    return frame(AUTHENTICATION, UINT32.pack(code) + data)


def negotiate_protocol(newest_minor: int, unknown: Sequence[bytes]) -> bytes:
    """NegotiateProtocolVersion: what minor version we speak and which options we do not know."""
    body = UINT32.pack(newest_minor) + UINT32.pack(len(unknown))
    return frame(NEGOTIATE, body + b"".join(cstring(name) for name in unknown))


def startup_message(parameters: Mapping[str, str], version: int = PROTOCOL_3_0) -> bytes:
    body = UINT32.pack(version)
    for name, value in parameters.items():
        body += cstring(name) + cstring(value)
    body += b"\0"
    return UINT32.pack(len(body) + 4) + body


def ssl_request() -> bytes:
    return UINT32.pack(8) + UINT32.pack(SSL_REQUEST)


def cancel_request(pid: int, secret: bytes) -> bytes:
    return UINT32.pack(12 + len(secret)) + UINT32.pack(CANCEL_REQUEST) + UINT32.pack(pid) + secret


def query(text: bytes) -> bytes:
    return frame(QUERY, cstring(text))


def parse(name: bytes, text: bytes, types: Sequence[int] = ()) -> bytes:
    body = cstring(name) + cstring(text) + UINT16.pack(len(types))
    return frame(PARSE, body + b"".join(UINT32.pack(oid) for oid in types))


def describe_portal(name: bytes) -> bytes:
    return frame(DESCRIBE, b"P" + cstring(name))


def password_message(data: bytes) -> bytes:
    """A PasswordMessage or SASLResponse: the same type, the body as it is."""
    return frame(PASSWORD, data)


def sasl_initial(mechanism: str, data: bytes) -> bytes:
    return frame(PASSWORD, cstring(mechanism) + INT32.pack(len(data)) + data)
