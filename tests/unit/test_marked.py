"""Our part of somebody else's file: theirs stays byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcli import marked, pg_service
from hoopcli.errors import Failure

theirs = st.binary(max_size=200).filter(lambda b: b"hoop" not in b)


@given(before=theirs, on_top=st.booleans())
def test_taking_our_part_out_gives_the_file_back(before: bytes, on_top: bool) -> None:
    once = marked.inserted(before, b"[x]\n", on_top=on_top)
    assert marked.outside(once) == before
    assert marked.inserted(once, b"[x]\n", on_top=on_top) == once
    assert marked.outside(marked.inserted(once, b"[y]\n", on_top=on_top)) == before


@given(before=theirs.map(lambda b: b + b"\n"), after=theirs)
def test_what_was_written_behind_our_part_stays_behind_it(before: bytes, after: bytes) -> None:
    file = marked.inserted(before, b"[x]", on_top=False) + after
    assert marked.inserted(file, b"[y]", on_top=False).endswith(marked.END + after)


def test_a_file_whose_marks_are_broken_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(marked.BEGIN + b"[x]\n[mine]\n")
    with pytest.raises(Failure, match="lost its first or last line"):
        marked.write(path, b"[y]\n")
    assert path.read_bytes() == marked.BEGIN + b"[x]\n[mine]\n"


def test_a_link_stays_a_link_and_a_mode_a_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles", tmp_path / "file"
    real.write_bytes(b"mine\n")
    real.chmod(0o644)
    link.symlink_to(real)
    assert marked.write(link, b"ours\n")
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o644
    assert not marked.write(link, b"ours\n")
    assert marked.write(link, None)
    assert real.read_bytes() == b"mine\n"


def test_a_service_is_called_as_its_target_unless_that_is_taken_or_ambiguous() -> None:
    tunnels = [
        {"agent": "eu", "target": "prod-db"},
        {"agent": "us", "target": "prod-db"},
        {"agent": "us", "target": "reports"},
        {"agent": "us", "target": "billing"},
    ]
    names = pg_service.names(tunnels, frozenset({"reports"}))
    assert names == ["eu.prod-db", "us.prod-db", "hoop-reports", "billing"]
