"""The archive's objects: a folder, and S3 as somebody else's server speaks it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoopagent import depot as depots
from hoopagent.config import ArchiveSection
from hoopagent.depot import Depot, DepotAway, DepotStuck
from tests.depots import S3, folder_depot, s3

NAME = "2026/11/23/s-1c9fz4m2qk.jsonl.zst"


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3() as made:
        yield made


@pytest.fixture(params=["folder", "s3"])
def depot(request: pytest.FixtureRequest, tmp_path: Path) -> Depot:
    if request.param == "folder":
        return folder_depot(tmp_path / "archive")
    server: S3 = request.getfixturevalue("server")
    bucket = f"b-{os.urandom(6).hex()}"
    server.bucket(bucket)
    return server.depot(bucket, tmp_path)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording"
    path.write_bytes(os.urandom(100_000))
    return path


def test_what_was_put_in_comes_back_byte_for_byte(
    depot: Depot, recording: Path, tmp_path: Path
) -> None:
    made = depot.deposit(recording, NAME)
    assert [part.name for part in made.parts] == [NAME]
    assert made.size == 100_000
    back = tmp_path / "back"
    depot.fetch(made.parts, back)
    assert back.read_bytes() == recording.read_bytes()
    assert back.stat().st_mode & 0o777 == 0o600


def test_a_large_recording_becomes_several_objects(
    depot: Depot, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depots, "PART", 30_000)
    made = depot.deposit(recording, NAME)
    assert [part.size for part in made.parts] == [30_000, 30_000, 30_000, 10_000]
    depot.fetch(made.parts, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == recording.read_bytes()


def test_put_in_twice_is_put_in_once(depot: Depot, recording: Path) -> None:
    assert depot.deposit(recording, NAME) == depot.deposit(recording, NAME)


def test_another_recording_of_that_name_is_never_written_over(
    depot: Depot, recording: Path, tmp_path: Path
) -> None:
    made = depot.deposit(recording, NAME)
    other = tmp_path / "other"
    other.write_bytes(b"forged")
    with pytest.raises(DepotStuck):
        depot.deposit(other, NAME)
    depot.verify(made.parts)


def test_what_changed_in_the_archive_does_not_come_back(
    depot: Depot, recording: Path, tmp_path: Path
) -> None:
    import obstore

    made = depot.deposit(recording, NAME)
    obstore.put(depot._open(), NAME, recording.read_bytes()[:-1] + b"x")
    with pytest.raises(DepotStuck):
        depot.verify(made.parts)
    with pytest.raises(DepotStuck):
        depot.fetch(made.parts, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_what_is_gone_from_the_archive_is_told(depot: Depot, recording: Path) -> None:
    made = depot.deposit(recording, NAME)
    depot.delete(made.parts)
    depot.delete(made.parts)  # a deletion that was cut short is done again
    with pytest.raises(DepotStuck):
        depot.verify(made.parts)


def test_a_bucket_that_is_not_there_is_an_archive_that_is_away(
    server: S3, recording: Path, tmp_path: Path
) -> None:
    with pytest.raises(DepotAway, match="NoSuchBucket") as told:
        server.depot("no-such-bucket", tmp_path).deposit(recording, NAME)
    assert not isinstance(told.value, DepotStuck)
    with pytest.raises(DepotAway, match="folder is not there") as told:
        Depot(ArchiveSection(url=f"file://{tmp_path / 'unmounted'}"), tmp_path).deposit(
            recording, NAME
        )
    assert not isinstance(told.value, DepotStuck)
    assert not (tmp_path / "unmounted").exists()


def test_a_server_that_is_away_is_told_without_its_url(recording: Path, tmp_path: Path) -> None:
    nobody = S3("http://127.0.0.1:1").depot("bucket", tmp_path)
    with pytest.raises(DepotAway) as told:
        nobody.deposit(recording, NAME)
    assert str(told.value) == "no connection"
    assert "not a secret" not in repr(nobody)


def test_a_secret_that_cannot_be_read_is_an_archive_that_is_away(
    server: S3, recording: Path, tmp_path: Path
) -> None:
    server.bucket("later")
    depot = server.depot("later", tmp_path)
    (tmp_path / "s3.secret").unlink()
    with pytest.raises(DepotAway):
        depot.deposit(recording, NAME)
    (tmp_path / "s3.secret").write_text("here it is")
    depot.deposit(recording, NAME)
