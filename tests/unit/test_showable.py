"""What a recorded terminal may show again: all that paints, and nothing a terminal obeys beside."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcore.showable import Showable

PAINTS = [
    "plain text, ünïcode 漢字\r\n\tand\b back",
    "\x1b[31mred\x1b[0m \x1b[1;38;5;208mx\x1b[38:2::1:2:3my",
    "\x1b[2J\x1b[H\x1b[10;20Hx\x1b[K\x1b[1A\x1b[3@\x1b[2;20r",
    "\x1b[?1049h\x1b[?25l\x1b7\x1b8\x1b=\x1b(0lqk\x1b(B\x0e\x0f",
    "\x1bM\x1bD\x1b[4h\x1b[4l",
]
ORDERS = [
    "\x1b]0;title\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]52;c;ZXZpbA==\x1b\\",
    "\x1b]8;;http://x\x1b\\",
    "\x9d52;c;ZXZpbA==\x9c",
    "\x1bP$qm\x1b\\",
    "\x1b_apc\x1b\\",
    "\x1b^pm\x1b\\",
    "\x1bXsos\x1b\\",
    "\x90q\x9c",
    "\x1b[c",
    "\x1b[>c",
    "\x1b[6n",
    "\x1b[?6n",
    "\x1b[18t",
    "\x1b[22;0t",
    "\x1bZ",
    "\x1bc",
    "\x1b[!p",
    "\x1b[?1000h",
    "\x1b[?1000;1049h",
    "\x1b[?2004h",
    "\x1b[4 q",
    "\x1b[99999b",
    "\x05",
    "\x07",
    "\x85",
    "\x9b6n",
    "\x1b[" + "1;" * 200 + "m",
    "\x1b[20\x07h",
]


def whole(*parts: str) -> str:
    showable = Showable()
    return "".join(showable.feed(part) for part in parts)


@pytest.mark.parametrize("text", PAINTS)
def test_what_paints_goes_through_as_it_is(text: str) -> None:
    assert whole(text) == text


@pytest.mark.parametrize("text", ORDERS)
def test_what_is_obeyed_does_not(text: str) -> None:
    shown = whole("a", text, "b")
    assert shown.startswith("a")
    assert shown.endswith("b")
    assert "\x1b" not in shown
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", shown)


@given(st.lists(st.sampled_from([*PAINTS, *ORDERS, "\x1b", "[", "]", "x;", "\x1b["])), st.data())
def test_where_the_stream_is_cut_makes_no_difference(texts: list[str], data: st.DataObject) -> None:
    text = "".join(texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert whole(*parts) == whole(text)


_ALLOWED = re.compile(
    r"\x1b(?:[()*+][0-~]|[78=>DEHM]|\[[0-9;:?<=>]{0,250}[ABCDEFGHIJKLMPSTXZ@`abdefmrsuhl])"
    r"|[^\x00-\x07\x0b\x0c\x10-\x1f\x7f-\x9f]"
)


@given(st.lists(st.sampled_from([*"\x1b[]P;?0123hlmcnt \\\x07\x9b\x9da", "\x1b[", "\x1b]"])))
def test_nothing_comes_out_but_text_and_what_is_on_the_list(letters: list[str]) -> None:
    assert _ALLOWED.sub("", whole("".join(letters))) == ""
