"""Masks over what SSH shows: however it comes, and whatever stands within, a value is hidden."""

from __future__ import annotations

import os
import re
from random import Random

import pytest

from hoopcore.detectors import KINDS, Sweep
from hoopcore.passage import Masked, Plain, ToPerson, ToTarget
from hoopcore.terminal import Finder, Flow, Masks, WordsMasked, masks
from hoopcore.terminal.row import LONGEST
from tests.unit.terminal_texts import KEY, MOVES, OWN, SWEEPS, UNSEEN, VALUES, shown, text

TIMES = 40 if os.environ.get("HOOP_LONG") else 1
CARD = "4111 1111 1111 1111"
FEW = SWEEPS["few"]


def new(*, terminal: bool = True, size: tuple[int, int] = (80, 24), sweep: Sweep = FEW) -> Masks:
    found = masks(sweep, terminal=terminal, columns=size[0], lines=size[1])
    assert found is not None
    return found


def said(passage: Masks, data: str, *, stderr: bool = False) -> str:
    given = passage.from_target(data.encode(), stderr=stderr)
    return b"".join(one.data for one in given if isinstance(one, ToPerson)).decode()


def rest(passage: Masks) -> str:
    return b"".join(one.data for one in passage.quiet() if isinstance(one, ToPerson)).decode()


def once(data: str, *, size: tuple[int, int] = (0, 0), sweep: Sweep = FEW) -> str:
    return shown(sweep, [data.encode()], size)[0].decode()


def bare(data: str) -> str:
    """Without what takes no cell."""
    return re.sub(
        r"\x1b\[[0-9;?\x00]*[a-z]|\x1b\]0;title\x07|\x1bPq\x1b\\|\x1b\(B|\x1b7|[\0\x0f\x07\u200b\u00ad]",
        "",
        data,
    )


# --- how it comes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("size", [(0, 0), (20, 0), (20, 24)])
def test_how_it_is_cut_changes_nothing(moves: bool, size: tuple[int, int]) -> None:
    random = Random(f"cuts {moves} {size}")
    for _ in range(5 * TIMES):
        data, sweep = text(random, moves=moves).encode(), SWEEPS[random.choice([*SWEEPS])]
        whole = shown(sweep, [data], size)
        for cut in range(1, len(data)):
            assert shown(sweep, [data[:cut], data[cut:]], size) == whole, (data, cut)
        assert shown(sweep, [data[at : at + 1] for at in range(len(data))], size) == whole, data


@pytest.mark.parametrize("size", [(0, 0), (20, 24)])
def test_what_goes_past_at_once_goes_as_line_by_line(size: tuple[int, int]) -> None:
    random = Random(f"fast {size}")
    for _ in range(5 * TIMES):
        lines = []
        for _ in range(random.randint(20, 50)):
            filler = ("a line with nothing in it " * 4)[: random.choice((20, 33, 40, 71))]
            lines.append(filler if random.random() < 0.6 else text(random, moves=True))
            lines.append(random.choice(("\n", "\r\n")))
        data, sweep = "".join(lines).encode(), SWEEPS[random.choice([*SWEEPS])]
        slowly = shown(sweep, [data[at : at + 99] for at in range(0, len(data), 99)], size)
        for _ in range(4):
            cuts = sorted(random.sample(range(1, len(data)), random.randint(0, 4)))
            pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
            assert shown(sweep, pieces, size) == slowly


def test_what_takes_no_cell_hides_nothing() -> None:
    random = Random("unseen")
    for _ in range(100 * TIMES):
        plain = "".join(
            part + random.choice((" ", "\n", ", "))
            for part in random.choices([one for some in VALUES.values() for one in some], k=3)
        )
        lines = plain.split("\n")
        for number, line in enumerate(lines):
            chars = [c + random.choice(UNSEEN) * (random.random() < 0.1) for c in line]
            lines[number] = "".join(chars)
        assert bare(once("\n".join(lines), sweep=SWEEPS["all"])) == once(
            plain, sweep=SWEEPS["all"]
        ), lines


@pytest.mark.parametrize("kind", [*VALUES])
def test_each_kind_is_hidden_wherever_it_is_cut(kind: str) -> None:
    for value in VALUES[kind]:
        data = f"it is {value}\nand more\n$ ".encode()
        whole, counts = shown(SWEEPS["all"], [data])
        assert counts == {kind: 1}
        assert value.encode() not in whole
        assert whole.endswith(b"\nand more\n$ ")
        assert whole.count(b"*") >= 5


@pytest.mark.parametrize("kind", [*VALUES])
def test_whatever_the_pace_a_value_never_comes_whole(kind: str) -> None:
    """With a pause anywhere: at least its last character is hidden, or what it hid before."""
    for value in VALUES[kind]:
        data = f"it is {value}\nand\n".encode()
        for cut in range(1, len(data)):
            got, _ = shown(SWEEPS["all"], [data[:cut], data[cut:]], quiet=True)
            assert len(got) >= len(data.decode())
            assert value.encode() not in got, (value, cut)


def test_a_pause_hides_what_is_whole_by_then() -> None:
    passage = new()
    assert said(passage, f"it is {CARD}") == "it is "
    assert passage.patience is not None
    assert rest(passage) == "***************1111"
    assert said(passage, "\r\n") == "\r\n"


def test_behind_a_pause_the_rest_of_a_value_is_hidden_to_its_end() -> None:
    passage = new()
    said(passage, "it is 4111 1111 111")
    assert rest(passage) == "4111 1111 111"
    assert said(passage, "1 1111 \r\n$ ") == "****** \r\n$ "


def test_text_without_values_comes_out_byte_for_byte() -> None:
    random = Random("nothing")
    alphabet = ["a", "b", " ", "\n", "é", "日", "\t", ".", "\xff", *UNSEEN, *MOVES]
    alphabet.remove("\x1b]2;4111 1111 1111 1111\x1b\\")
    for _ in range(100 * TIMES):
        data = "".join(random.choices(alphabet, k=random.randint(1, 120))).encode(
            "latin-1", "ignore"
        )
        data += bytes(random.choices(range(256), k=9)).translate(None, b"@:0123456789")
        pieces = [data[at : at + 7] for at in range(0, len(data), 7)]
        for quiet in (False, True):
            assert shown(SWEEPS["all"], pieces, (20, 24), quiet)[0] == data


# --- what waits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt",
    [
        "$ ",
        "# ",
        "Password: ",
        "root@web1:~# ",
        "[ana@web1 ~]$ ",
        ">>> ",
        "mysql> ",
        "(END) ",
        ": ",
    ],
)
def test_a_prompt_does_not_wait(prompt: str) -> None:
    for sweep in SWEEPS.values():
        passage = new(sweep=sweep)
        assert said(passage, f"\r\n{prompt}") == f"\r\n{prompt}"
        assert passage.patience is None


def test_what_is_typed_comes_back_at_once() -> None:
    passage = new(sweep=SWEEPS["all"])
    for key in "cat 4111":
        assert passage.from_person(key.encode()) == [ToTarget(key.encode())]
        assert said(passage, key) == key
        assert passage.patience is None


def test_what_looks_like_a_value_is_waited_for_longer() -> None:
    weak, strong = new(), new()
    said(weak, "load")
    said(strong, "4111 1111 11")
    assert weak.patience is not None
    assert strong.patience is not None
    assert strong.patience > 5 * weak.patience


def test_both_streams_wait_by_themselves() -> None:
    passage = new(terminal=False)
    assert said(passage, "4111 1111 ") == ""
    assert said(passage, "1111 1111 \n", stderr=True) == "1111 1111 \n"
    assert said(passage, "1111 1111\n") == "***************1111\n"


def test_what_waits_is_bounded() -> None:
    for piece in ("7", "eyJ" + "a" * 61, "a@", "1\x1b[m", "\x1b]0;7777777"):
        passage = new(sweep=SWEEPS["all"])
        gone = 0
        for _ in range(400):
            gone += len(said(passage, piece * 20))
        assert 400 * 20 * len(piece) - gone < 30_000
        gone += len(rest(passage))
        assert gone == 400 * 20 * len(piece)


def test_a_line_is_known_as_far_as_it_may_matter() -> None:
    flow = Flow(Finder(FEW))
    for _ in range(300):
        flow.feed("no end of line, " * 20)
    assert len(flow._row.text) <= LONGEST + 4096
    assert flow.feed(f"{CARD} to ") == "***************1111 to "


# --- on the screen --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        "4111 1111 11X\b11 1111\r\n",  # written over
        "".join(f"{c}\b{c}" for c in CARD) + "\r\n",  # bold, as nroff has it
        "4111 1111\x1b[C1111 1111\r\n",  # over a blank
        "4111 1111 \x1b[11G1111 1111\r\n",
        "\x1b[3;1H4111 1111 \x1b[3;11H1111 1111\x1b[4;1H",
        "4111 1111 1111 1111\r" + " " * 20,  # seen, and wiped out
        "4111 1111 1111 1111\x1b[2K\r\n",
        "\x1b]0;4111 1111 1111 1111\x07\r\n",  # the window's title
        "\x1b[01;31m\x1b[K4111 1111\x1b[m\x1b[K 1111 1111\r\n",  # grep
        "x" * 75 + "4111 \b 1111 1111 1111\r\n",
        "x" * 75 + "41111 \b11111111111 end\r\n",  # less at the margin
        "\x1b[3;1H" + "x" * 75 + "41111 \b\x1b[4;1H11111111111 end\r\n",  # the same, painted anew
        "x" * 75 + "41111\r\n11111111111 end\r\n",
        "x" * 75 + "41111 \r11111111111 end\r\n",  # readline
        "\x1b[3;1H" + "x" * 75 + "41111\x1b[4;1H11111111111 end\r\n",  # vi
        "\x1b[5;6H1111 1111 1111\x1b[5;1H4111 \x1b[6;1H",  # its beginning comes last
    ],
)
def test_a_value_is_found_as_it_stands_on_the_screen(data: str) -> None:
    for cut in range(len(data)):
        got, counts = shown(FEW, [data[:cut].encode(), data[cut:].encode()], (80, 24))
        assert sum(counts.values()) >= 1, (cut, got)
        assert len(re.findall(rb"[0-9]", re.sub(rb"\x1b\[[0-9;]*[A-Za-z]", b"", got))) < 13


def test_colours_within_a_value_stay_where_they_are() -> None:
    assert once("a \x1b[31m4111\x1b[0m1111\x1b[1m11111111\x1b[m b\n") == (
        "a \x1b[31m****\x1b[0m****\x1b[1m****1111\x1b[m b\n"
    )


def test_wide_characters_leave_two_stars() -> None:
    assert once("日本@example.com \n") == "****@example.com \n"


def test_cells_that_are_far_from_each_other_are_no_value() -> None:
    data = "\x1b[1;1H4111 1111\x1b[1;30H1111 1111\x1b[2;1H"
    assert once(data, size=(80, 24)) == data


# --- private keys ---------------------------------------------------------------------------------


def test_a_private_key_is_hidden_line_by_line_as_it_comes() -> None:
    passage = new(sweep=SWEEPS["all"])
    seen = "".join(said(passage, f"{line}\r\n") for line in KEY.split("\n"))
    assert re.fullmatch(r"(\*+\r\n){4}", seen)
    assert said(passage, "$ ") == "$ "


def test_a_key_that_does_not_end_hides_two_lines_more() -> None:
    head = "".join(f"{line}\n" for line in KEY.split("\n")[:3])
    assert once(head + "$ date\nMonday\nin clear\n", sweep=SWEEPS["all"]).endswith(
        "\n******\n******\nin clear\n"
    )


def test_a_key_goes_on_behind_the_prompt_of_a_pager() -> None:
    lines = KEY.split("\n")
    data = f"{lines[0]}\r\n{lines[1]}\r\n:\r\x1b[K{lines[2]}\r\n{lines[3]}\r\n$ "
    got = once(data, sweep=SWEEPS["all"], size=(80, 24))
    assert "abcdef" not in got
    assert got.endswith("\r\n$ ")


def test_a_long_key_is_hidden_as_far_as_a_key_goes() -> None:
    body = "".join(f"{'QUJD' * 16}\n" for _ in range(400))
    got = once("-----BEGIN PRIVATE KEY-----\n" + body, sweep=SWEEPS["all"])
    assert 16_000 < got.count("*") <= 16 << 10


# --- what is left out of recordings ---------------------------------------------------------------


def test_a_mark_takes_the_place_of_a_value_and_what_moves_it_stays() -> None:
    flow = Flow(Finder(Sweep(KINDS)), mark=lambda kind, value: f"<{kind} {value.decode()}>")
    data = "a \x1b[31m4111\x1b[0m111111111111 b\r\n"
    assert flow.feed(data) == "a \x1b[31m<card 4111111111111111>\x1b[0m b\r\n"
    assert flow.feed(KEY + "\n$ ") == "<private-key -----BEGIN RSA PRIVATE KEY----->\n\n\n\n$ "


def test_what_is_masked_is_counted_by_kind() -> None:
    _, counts = shown(FEW, [f"{CARD}, {CARD}\nbo@example.com 123-45-6789\n".encode()])
    assert counts == {"card": 2, "email": 1, "ssn": 1}
    passage = new()
    given = passage.from_target(f"{CARD}\n".encode(), stderr=True)
    assert Masked({"card": 1}) in given


def test_without_detectors_there_is_no_passage() -> None:
    assert masks(None) is None
    assert masks(Sweep(OWN)) is not None


def test_a_key_within_another_one_and_two_of_them_on_a_line() -> None:
    begin, end = KEY.split("\n")[0], KEY.split("\n")[-1]
    only = Sweep(("private-key",))
    assert once(f"{begin}a{begin}b{end} c\n", sweep=only) == "*" * 93 + " c\n"
    assert once(f"{begin}{end}x{begin}{end} c\n", sweep=only) == f"{'*' * 60}x{'*' * 60} c\n"


def test_a_token_at_the_end_of_a_very_long_line_is_whole() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIx" * 900 + ".abcDEF_-123"
    for start in (10, 23_000):
        passage = new(sweep=Sweep(("jwt",)), terminal=False)
        data = "so " * (start // 3) + token + " end\n"
        got = "".join(said(passage, data[at : at + 3000]) for at in range(0, len(data), 3000))
        assert got == "so " * (start // 3) + "*" * len(token) + " end\n"


def test_lines_above_and_below_are_known_once_a_number_is() -> None:
    for move in ("\x1b[A", "\x1b[B\x1b[2A", "\x1b[3d\x1b[11G", "\x1b[F\x1b[10C", "\x1b[3;11H"):
        data = f"\x1b[3;1H4111 1111 \x1b[4;11H{move}1111 1111\x1b[E"
        got, counts = shown(FEW, [data.encode()], (80, 24))
        assert counts == {"card": 1}, move
        assert got.endswith(b"*********\x1b[E")


def test_a_passage_passes_on_what_it_does_not_look_at() -> None:
    passage = new(size=(20, 24))
    passage.resized(40, 24)
    assert said(passage, f"{'x' * 36}4111\r\n11111111 1111\r\n").count("*") == 0
    assert said(passage, f"{'x' * 36}4111\r\n111111111111 \r\n").count("*") == 12
    assert passage.person_done() == passage.closed() == []
    with pytest.raises(AssertionError):
        passage.decided(1, "")


# A ticket is one at the beginning of its line.
FOUND = [values for kind, values in VALUES.items() if kind != "ticket"]


def test_in_what_is_no_text_values_are_hidden_as_they_stand_between_controls() -> None:
    random = Random("binary")
    for _ in range(5 * TIMES):
        noise = [random.randbytes(random.randint(1, 3000)) for _ in range(random.randint(2, 12))]
        values = [random.choice(random.choice(FOUND)).encode() for _ in noise]
        data = b"".join(
            part + b"\n a " + value + b" \n" for part, value in zip(noise, values, strict=True)
        )
        cuts = sorted(random.sample(range(1, len(data)), random.randint(0, 4)))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        out, _ = shown(SWEEPS["all"], pieces)
        for value in values:
            assert b"\n a " + value + b" \n" not in out


def test_beside_files_what_comes_on_stderr_is_masked_and_the_files_are_not() -> None:
    made = masks(SWEEPS["all"])
    assert made is not None
    both = WordsMasked(Plain(), made)
    card = VALUES["card"][0].encode()
    assert both.from_target(b"of a file: " + card, stderr=False) == [
        ToPerson(b"of a file: " + card)
    ]
    assert both.patience is None
    said = both.from_target(b"no such file: " + card[:9], stderr=True)
    assert both.patience is not None
    said += both.from_target(card[9:] + b"\n", stderr=True) + both.target_done()
    words = b"".join(one.data for one in said if isinstance(one, ToPerson))
    assert words.startswith(b"no such file: ***")
    assert card not in words
    assert Masked({"card": 1}) in said
    assert all(one.stderr for one in said if isinstance(one, ToPerson))
