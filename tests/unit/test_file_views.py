"""How files are shown, wherever a recording is read."""

from __future__ import annotations

from collections.abc import Iterable

from hoopcli.player.rows import gist
from hoopcli.replay_cast import cast
from hoopcli.replay_view import Timeline, script
from hoopcli.session_view import pairs, summed
from hoopcore.recording import File, Header, Known, Said
from hoopcore.recording.words import carried

HASH = "0123456789abcdef" * 4
WHOLE = File(
    t=5, seq=2, direction="download", path="/srv/a", size=3_000_000, sha256=HASH, mode="0644"
)
REFUSED = File(t=6, seq=3, direction="upload", path="/srv/\x1b[2Jb", outcome="refused")
PART = File(t=7, seq=4, direction="upload", path="/srv/c", size=10, outcome="part")


def events() -> Iterable[Known]:
    yield Header(session="s-1", principal="ana", target="web", protocol="ssh")
    yield Said(seq=2, kind="file", text="download /srv/a", verdict="allow")
    yield from (WHOLE, REFUSED, PART)


def test_a_file_is_one_line_with_all_that_matters() -> None:
    assert carried(WHOLE) == f"download /srv/a · 2 MiB · sha256 {HASH[:16]}… · mode 0644"
    assert carried(WHOLE, short=False).count(HASH) == 1
    assert carried(PART) == "upload /srv/c · part · 10 B"
    assert carried(File(seq=1, direction="upload", path="/x", outcome="refused")) == (
        "upload /x · refused"
    )


def test_every_view_shows_files_and_obeys_no_name() -> None:
    timeline = Timeline(120)
    shown = [line for event in events() if (told := timeline.show(event)) for line in told.lines]
    views = ["\n".join(shown), "\n".join(script(events())), "".join(cast(events()))]
    views.append("\n".join(gist(event, "") for event in (WHOLE, REFUSED, PART)))
    for view in views:
        assert "download /srv/a" in view
        assert "/srv/c" in view
        assert "\x1b[2J" not in view


def test_a_session_is_told_how_many_files_went_which_way() -> None:
    from datetime import UTC, datetime

    told = summed(events())
    assert (told["files_out"], told["files_out_bytes"]) == (1, 3_000_000)
    assert (told["files_in"], told["files_in_bytes"]) == (1, 10)
    card = dict(pairs(told | {"recording": ""}, datetime(2026, 1, 1, tzinfo=UTC)))
    assert card["files"] == "1 file to the client, 2 MiB; 1 file to the target, 10 B"
    assert card["target"] == "web"
