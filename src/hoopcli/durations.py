"""How long: ``1h30m`` for people, seconds for the agent."""

from __future__ import annotations

import re

_UNITS = {"w": 7 * 86_400, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_FORM = re.compile("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))


def parse(text: str) -> int:
    """Seconds in ``90s``, ``45m``, ``1h30m``, ``2d`` or ``1w``, the larger unit first.

    ValueError, with a text for the person who typed it, for anything else and for no time at all.
    """
    shown = repr(text if len(text) < 40 else text[:39] + "…")
    compact = re.sub(r"\s+", "", text).lower()
    if re.fullmatch("[0-9]{1,9}", compact):
        raise ValueError(f"{shown} has no unit; do you mean {compact}s, {compact}m or {compact}h?")
    match = _FORM.fullmatch(compact)
    if match is None or not compact:
        raise ValueError(f"{shown} is not a duration; write it like 45m, 1h30m or 2d")
    parts = zip(match.groups(), _UNITS.values(), strict=True)
    seconds = sum(int(digits) * unit for digits, unit in parts if digits)
    if seconds == 0:
        raise ValueError(f"{shown} is no time at all; write it like 45m, 1h30m or 2d")
    return seconds


def show(seconds: int) -> str:
    """The shortest spelling; ``parse(show(n)) == n`` for every n above 0."""
    if seconds <= 0:
        return "0s"
    spelled = ""
    for letter, unit in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, unit)
        if count:
            spelled += f"{count}{letter}"
    return spelled
