"""IP addresses that stand alone: no version strings, no times, no hardware addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from hoopcore.detectors.spans import Kind, Span

_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4_LOOSE = rb"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
_V4 = re.compile(
    rb"(?<![0-9A-Za-z_.-])(?:%b\.){3}%b(?![0-9A-Za-z_]|[.+-][0-9A-Za-z])" % (_OCTET, _OCTET)
)
# A name and a slash, as in User-Agent: Safari/604.1.38.12; or the word itself.
_VERSION = re.compile(
    rb"(?i)(?:[a-z]/|\bv(?:er(?:sion|\.)?)?[ :=]*|\brelease[ :=]*|\bbuild[ :=]*|[a-z][ -]v)$"
)


def _ipv4s(data: bytes) -> Iterator[Span]:
    """Four octets in decimal.  Four of one digit are a version, but for 1.1.1.1 and the like."""
    for match in _V4.finditer(data):
        start, stop = match.span()
        text = match[0]
        if len(text) == 7 and len(set(text)) > 2:
            continue
        if _VERSION.search(data[max(0, start - 12) : start]):
            continue
        yield Span(start, stop, "ip")


# Times have two colons and hardware addresses five, so these ask for seven or for two together.
_V6_LOOSE = rb"[0-9A-Fa-f:]::|::[0-9A-Fa-f]|(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]"
_V6 = re.compile(
    rb"(?<![0-9A-Za-z_:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:%b(?:\.%b){3}|[0-9A-Fa-f]{0,4})"
    rb"(?![0-9A-Za-z_:]|\.[0-9])" % (_OCTET, _OCTET)
)


def _ipv6s(data: bytes) -> Iterator[Span]:
    """RFC 4291's forms, a mapped IPv4 address among them.

    Eight pairs of digits are a hardware address; two words with :: between are none.
    """
    for match in _V6.finditer(data):
        start, text = match.start(), match[0]
        groups = [group for group in text.split(b":") if group]
        if len(groups) == 8 and all(len(group) == 2 for group in groups):
            continue
        if len(groups) < 3 and not any(byte < 58 for group in groups for byte in group):
            continue
        try:
            ipaddress.IPv6Address(text.decode())
        except ValueError:
            continue
        yield Span(start, start + len(text), "ip")


def _addresses(data: bytes) -> Iterator[Span]:
    found = list(_ipv6s(data)) if b"::" in data or data.count(b":") >= 7 else []
    if data.count(b".") >= 3:
        inside = [(span.start, span.stop) for span in found]
        for span in _ipv4s(data):
            if not any(start <= span.start and span.stop <= stop for start, stop in inside):
                found.append(span)
        found.sort()
    yield from found


IP = Kind("ip", _V4_LOOSE + rb"|" + _V6_LOOSE, _addresses, needs=(b"::", b".", b":"))
