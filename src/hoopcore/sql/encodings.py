"""Which client encodings a text may be in, and how its bytes become UTF-8.

An encoding is safe when no byte under 128 is ever part of another character.  SJIS, BIG5, GBK,
GB18030, UHC and JOHAB are not: their second bytes may look like a quote or a backslash, and what
reads such a text as anything else can be shown another statement than the server runs.
"""

from __future__ import annotations

_ISO = {1: 1, 2: 2, 3: 3, 4: 4, 5: 9, 6: 10, 7: 13, 8: 14, 9: 15, 10: 16}  # LATINn → ISO 8859 part
_CODECS = {
    "utf8": "utf-8",
    "unicode": "utf-8",
    "sqlascii": "ascii",  # the server takes any byte; we read those that mean one thing only
    **{f"latin{latin}": f"iso8859_{part}" for latin, part in _ISO.items()},
    **{f"iso8859{part}": f"iso8859_{part}" for part in (*_ISO.values(), 5, 6, 7, 8)},
    **{f"{win}{page}": f"cp{page}" for win in ("win", "windows") for page in range(1250, 1259)},
    **{f"{win}{page}": f"cp{page}" for win in ("win", "windows") for page in (866, 874)},
    "win": "cp1251",
    "alt": "cp866",
    "abc": "cp1258",
    "tcvn": "cp1258",
    "tcvn5712": "cp1258",
    "vscii": "cp1258",
    "koi8": "koi8_r",
    "koi8r": "koi8_r",
    "koi8u": "koi8_u",
}


def _codec(name: str) -> str | None:
    """PostgreSQL compares names of encodings by their letters and digits only."""
    return _CODECS.get("".join(c for c in name.lower() if c.isascii() and c.isalnum()))


def encoding_is_safe(name: str) -> bool:
    """Whether texts in this client_encoding can be read: UTF8, SQL_ASCII, or a single-byte one."""
    return _codec(name) is not None


def decode(text: bytes, encoding: str) -> str | None:
    """The text, or None where the encoding is not safe or the bytes are not valid in it."""
    codec = _codec(encoding)
    if codec is None:
        return None
    try:
        return text.decode(codec)
    except UnicodeDecodeError:
        return None
