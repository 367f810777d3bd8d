"""Check digits: each says whether the last ones of a number fit those before them.

All take ASCII bytes without blanks or dashes, and are False for what they do not understand.
``fits`` takes a text as it stands, with what is written around and between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

# What doubling makes of each digit in Luhn's sum: 0 2 4 6 8 1 3 5 7 9.
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")


def luhn(digits: bytes) -> bool:
    """ISO/IEC 7812-1, annex B: payment cards, IMEI, many customer numbers."""
    if not digits.isdigit():
        return False
    last = digits[::-1]
    total = sum(last[0::2]) + sum(last[1::2].translate(_DOUBLED))
    return (total - 48 * len(digits)) % 10 == 0  # 48: ord("0"), once in every summand


def _values(text: bytes) -> str:
    """Every character as a number: letters are 10 to 35."""
    return "".join(str(int(chr(byte), 36)) for byte in text)


def mod97(text: bytes) -> bool:
    """ISO 7064 MOD 97-10, the two check digits at the end (LEI, reference numbers)."""
    return text.isalnum() and len(text) > 2 and int(_values(text)) % 97 == 1


def iban(text: bytes) -> bool:
    """ISO 13616: MOD 97-10 with the first four characters put last."""
    return mod97(text[4:] + text[:4])


def mod11(text: bytes) -> bool:
    """Weights 1, 2, 3 … from the right, the sum a multiple of 11; a last X is 10 (ISBN-10, NHS)."""
    last = 10 if text[-1:] in b"xX" else -1
    digits = text[:-1] if last == 10 else text
    if len(text) < 2 or not digits.isdigit():
        return False
    values = [byte - 48 for byte in digits] + ([last] if last == 10 else [])
    return sum(weight * value for weight, value in enumerate(reversed(values), 1)) % 11 == 0


def mod11_10(digits: bytes) -> bool:
    """ISO 7064 MOD 11,10 (the German tax number, the Croatian OIB)."""
    if len(digits) < 2 or not digits.isdigit():
        return False
    product = 10
    for byte in digits[:-1]:
        product = ((product + byte - 48) % 10 or 10) * 2 % 11
    return (product + digits[-1] - 48) % 10 == 1


_VERHOEFF_D = (
    *("0123456789", "1234067895", "2340178956", "3401289567", "4012395678"),
    *("5987604321", "6598710432", "7659821043", "8765932104", "9876543210"),
)
_VERHOEFF_P = (
    *("0123456789", "1576283094", "5803796142", "8916043527"),
    *("9453126870", "4286573901", "2793806415", "7046913258"),
)


def verhoeff(digits: bytes) -> bool:
    """Verhoeff's scheme in the dihedral group D5 (Aadhaar)."""
    if len(digits) < 2 or not digits.isdigit():
        return False
    check = 0
    for place, byte in enumerate(reversed(digits)):
        check = int(_VERHOEFF_D[check][int(_VERHOEFF_P[place % 8][byte - 48])])
    return check == 0


CHECKSUMS: Final[Mapping[str, Callable[[bytes], bool]]] = {
    "luhn": luhn,
    "mod97": mod97,
    "iban": iban,
    "mod11": mod11,
    "mod11-10": mod11_10,
    "verhoeff": verhoeff,
}
"""The names that a detector of your own may give."""

_OTHERS = {
    name: bytes(set(range(256)) - set(kept))
    for name, kept in {
        "digits": b"0123456789",
        "mod11": b"0123456789Xx",
        "letters": b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    }.items()
}


def fits(checksum: str, text: bytes) -> bool:
    """Whether the digits of this text fit; of MOD 97-10 its letters count too."""
    of = "letters" if checksum in ("mod97", "iban") else checksum
    return CHECKSUMS[checksum](text.translate(None, _OTHERS.get(of, _OTHERS["digits"])))
