"""Principals that are no people: mounted tokens and client credentials, through a real agent."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hoopcli import door
from hoopcli.credentials import Credentials
from hoopcli.errors import Failure
from tests.agents import RealAgent, running_agent
from tests.hostile_provider import HostileProvider, running_provider
from tests.signing import sign

CLUSTER = "system:serviceaccount:shop:deploy"


def written(cluster: str) -> str:
    return f"""
[[identity.workloads]]
name = "shop-deploy"
owner = "ana@shop.example"
issuer = "{cluster}"
audience = "hoop.shop"
claims = {{ sub = "{CLUSTER}" }}
groups = ["ci"]
reuse = true

[[identity.workloads]]
name = "shop-nightly"
owner = "dba"
issuer = "{cluster}"
audience = "hoop.shop"
claims = {{ repository = "acme/shop", ref = ["refs/heads/main", "refs/heads/next"], attempt = 1 }}
groups = ["ci", "dba"]

[[identity.workloads]]
name = "ci-agent"
kind = "agent"
owner = "ana@shop.example"
audience = "https://hoop.example"
claims = {{ client_id = "ci" }}
groups = ["ci"]
"""


@pytest.fixture(scope="module")
def people() -> Iterator[HostileProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def cluster() -> Iterator[HostileProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def agent(people: HostileProvider, cluster: HostileProvider) -> Iterator[RealAgent]:
    with running_agent(people.issuer, written(cluster.issuer)) as agent:
        yield agent


@pytest.fixture
def job(agent: RealAgent, tmp_path: Path) -> RealAgent:
    """A job's own machine: no keyring, no passphrase, nobody at a terminal."""
    dropped = ("HOOP_KEYRING", "HOOP_PASSPHRASE")
    environ = {name: value for name, value in agent.environ.items() if name not in dropped}
    return replace(agent, environ=environ | {"HOOP_HOME": str(tmp_path / "job")})


def of_cluster(cluster: HostileProvider, **changed: Any) -> str:
    """What Kubernetes puts into a file: no jti, an hour long."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "aud": ["hoop.shop"],
        "sub": CLUSTER,
        "iat": now - 1800,
        "exp": now + 1800,
    }
    more: dict[str, Any] = {"email": None, "groups": None} | changed
    return cluster.id_token(**(claims | more))


def nightly(cluster: HostileProvider, **changed: Any) -> str:
    claims: dict[str, Any] = {
        "sub": "run-7",
        "repository": "acme/shop",
        "ref": "refs/heads/next",
        "attempt": 1,
    }
    return cluster.id_token(**(claims | {"aud": "hoop.shop"} | changed))


def file_of(job: RealAgent) -> Path:
    (found,) = (Path(job.environ["HOOP_HOME"]) / "credentials").glob("*.json")
    return found


def age(job: RealAgent) -> None:
    path = file_of(job)
    kept = Credentials.from_text(path.read_text())
    path.write_text(replace(kept, issued=time.time() - 3600, expires=time.time() + 10).to_text())


def test_a_job_signs_in_by_a_mounted_token_that_is_read_anew_each_time(
    job: RealAgent, cluster: HostileProvider, tmp_path: Path
) -> None:
    mounted = tmp_path / "token"
    mounted.write_text(of_cluster(cluster) + "\n")
    done = job.hoop("login", "--workload-token", str(mounted))
    assert done.returncode == 0, done.stderr
    assert "Signed in as shop-deploy (ci)" in done.stderr
    shown = json.loads(job.hoop("status", "-o", "json").stdout)
    assert shown["principal"]["kind"] == "service"
    assert shown["principal"]["owner"] == "ana@shop.example"
    assert shown["renews"]
    assert "shop-deploy (service)" in job.hoop("status").stdout

    path = file_of(job)
    assert path.stat().st_mode & 0o777 == 0o600
    assert mounted.read_text().strip() not in path.read_text()
    assert json.loads(path.read_text())["refresh_token"] == ""

    # The same token again, since the platform says that it may be; and then the next one.
    for text in (None, of_cluster(cluster, iat=int(time.time()))):
        mounted.write_text(text or mounted.read_text())
        age(job)
        done = job.hoop("status", "-o", "names")
        assert (done.returncode, done.stdout, done.stderr) == (0, "shop-deploy\n", "")
    mounted.unlink()
    age(job)
    assert job.hoop("status").returncode == 0  # what there is holds to its end
    assert job.hoop("logout").returncode == 0
    assert not list(path.parent.glob("*"))


def test_a_job_asks_like_anybody_and_never_votes(
    agent: RealAgent,
    job: RealAgent,
    people: HostileProvider,
    cluster: HostileProvider,
    tmp_path: Path,
) -> None:
    mounted = tmp_path / "token"
    mounted.write_text(of_cluster(cluster))
    assert job.hoop("login", "--workload-token", str(mounted)).returncode == 0
    asked = job.hoop("request", "prod-db", "--reason", "the nightly load", "-o", "json")
    assert asked.returncode == 0, asked.stderr
    request = json.loads(asked.stdout)
    assert request["requester"]["kind"] == "service"
    assert request["requester"]["owner"] == "ana@shop.example"

    people.say("/token", lambda _: people.tokens(sub="ben", email="ben@x", groups=["dba"]))
    status, said = agent.login(lambda _: None)
    assert status == 0, said
    shown = agent.hoop("requests")
    assert "(service)" in shown.stdout

    # One that is in the very group that decides, and may not.
    voter = replace(job, environ=job.environ | {"HOOP_HOME": str(tmp_path / "voter")})
    mounted.write_text(nightly(cluster))
    assert voter.hoop("login", "--workload-token", str(mounted)).returncode == 0
    voted = voter.hoop("approve", request["id"], "--reason", "fine by me")
    assert voted.returncode == 4
    assert "only people vote" in voted.stderr
    voted = agent.hoop("approve", request["id"], "--reason", "fine")
    assert voted.returncode == 0, voted.stderr
    grants = json.loads(job.hoop("grants", "--mine", "-o", "json").stdout)
    assert grants[0]["principal"]["kind"] == "service"
    for one in (agent, job, voter):
        assert one.hoop("logout").returncode == 0


WRONG: dict[str, dict[str, Any]] = {
    "of another account": {"sub": "system:serviceaccount:shop:other"},
    "of no account": {"sub": None},
    "of a list of accounts": {"sub": [CLUSTER]},
    "for another audience": {"aud": "another"},
    "of an issuer nobody wrote down": {"iss": "https://evil.example"},
    "that has expired": {"exp": int(time.time()) - 100},
    "that lasts for a week": {"exp": int(time.time()) + 7 * 86400},
    "from the future": {"iat": int(time.time()) + 600},
    "without an end": {"exp": None},
    "of another repository": {"sub": "x", "repository": "acme/other", "ref": "refs/heads/main"},
    "of a number that is a text": {
        "sub": "x",
        "repository": "acme/shop",
        "ref": "refs/heads/main",
        "attempt": "1",
    },
    "of a number that is a truth": {
        "sub": "x",
        "repository": "acme/shop",
        "ref": "refs/heads/main",
        "attempt": True,
    },
}


@pytest.mark.parametrize("what", WRONG, ids=lambda what: what.replace(" ", "_"))
def test_no_job_is_signed_in_by_a_token(
    agent: RealAgent, cluster: HostileProvider, what: str
) -> None:
    with pytest.raises(door.Refusal):
        agent.exchange(of_cluster(cluster, **WRONG[what]), kind=door.WORKLOAD_TOKEN)


def test_people_are_no_jobs_and_jobs_are_no_people(
    agent: RealAgent, people: HostileProvider, cluster: HostileProvider
) -> None:
    with pytest.raises(Failure, match="no workload"):
        agent.exchange(people.id_token(client_id="ci"), kind=door.WORKLOAD_TOKEN)
    with pytest.raises(Failure, match="another issuer"):
        agent.exchange(of_cluster(cluster))
    for claims, header in (({}, {"typ": "at+jwt"}), ({"gty": "client-credentials"}, {})):
        token = sign(people.claims(client_id="ci", **claims), header=header)
        with pytest.raises(Failure):
            agent.exchange(token)


def test_an_issuer_nobody_wrote_down_is_not_even_asked(agent: RealAgent) -> None:
    with running_provider() as stranger:
        with pytest.raises(Failure, match="no workload"):
            agent.exchange(of_cluster(stranger), kind=door.WORKLOAD_TOKEN)
        assert stranger.asked == []


def test_a_token_is_good_once_unless_it_is_said_that_it_may_be_used_again(
    agent: RealAgent, cluster: HostileProvider
) -> None:
    token = nightly(cluster)
    assert agent.exchange(token, kind=door.WORKLOAD_TOKEN).principal["name"] == "shop-nightly"
    with pytest.raises(door.Refusal) as refused:
        agent.exchange(token, kind=door.WORKLOAD_TOKEN)
    assert refused.value.reason == "token_used"
    old = nightly(cluster, iat=int(time.time()) - 600)
    with pytest.raises(Failure, match="older than 5 minutes"):
        agent.exchange(old, kind=door.WORKLOAD_TOKEN)


def test_every_run_of_a_job_is_the_same_principal(
    agent: RealAgent, cluster: HostileProvider
) -> None:
    runs = [nightly(cluster, sub=f"run-{number}") for number in range(2)]
    signed = [agent.exchange(token, kind=door.WORKLOAD_TOKEN).principal["id"] for token in runs]
    assert signed[0] == signed[1]


def test_an_ai_agent_signs_in_by_client_credentials(
    job: RealAgent, people: HostileProvider, tmp_path: Path
) -> None:
    def granted(form: dict[str, str]) -> Any:
        if form.get("grant_type") != "client_credentials":
            return people.tokens()
        if base64.b64decode(form["authorization"].removeprefix("Basic ")) != b"ci:s3cret%2B":
            return 401, {"error": "invalid_client"}, {}
        claims = people.claims(sub="ci", client_id="ci", aud=form["audience"], email=None)
        return {"access_token": sign(claims, header={"typ": "at+jwt"}), "expires_in": 300}

    people.say("/token", granted)
    words = (
        "--client-credentials",
        "ci",
        "--audience",
        "https://hoop.example",
        "--issuer",
        people.issuer,
    )
    done = job.hoop("login", *words, "--client-secret", "env:CI_SECRET", CI_SECRET="s3cret+")
    assert done.returncode == 0, done.stderr
    assert "Signed in as ci-agent" in done.stderr
    shown = json.loads(job.hoop("status", "-o", "json").stdout)
    assert shown["principal"]["kind"] == "agent"
    kept = b"".join(
        p.read_bytes() for p in Path(job.environ["HOOP_HOME"]).rglob("*") if p.is_file()
    )
    assert b"s3cret" not in kept
    assert b"env:CI_SECRET" in kept

    age(job)
    assert job.hoop("status", CI_SECRET="s3cret+").returncode == 0
    assert sum(form.get("grant_type") == "client_credentials" for _, form in people.asked) == 2
    age(job)
    path = file_of(job)
    gone = replace(Credentials.from_text(path.read_text()), expires=time.time() - 1)
    path.write_text(gone.to_text())
    late = job.hoop("status")
    assert late.returncode == 3
    assert "CI_SECRET is not set" in late.stderr
    wrong = job.hoop("login", *words, "--client-secret", "env:CI_SECRET", CI_SECRET="wrong")
    assert wrong.returncode == 1
    assert "wrong" not in wrong.stderr
    people.honest()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--client-credentials", "ci"], "--client-secret env:NAME"),
        (["--client-credentials", "ci", "--client-secret", "s3cret"], "never the secret itself"),
        (["--client-credentials", "ci", "--client-secret", "env:X"], "wants --issuer"),
        (["--client-secret", "env:X"], "--client-credentials"),
        (["--workload-token", "x", "--client-credentials", "ci"], "stands alone"),
        (["--workload-token", "x", "--browser"], "for people"),
    ],
)
def test_what_cannot_be_meant_is_said(job: RealAgent, words: list[str], said: str) -> None:
    done = job.hoop("login", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("content", [None, b"", b"not a token", b"\xff\xfe", b"a.b.c" * 20_000])
def test_a_file_without_a_token_is_said(
    job: RealAgent, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    done = job.hoop("login", "--workload-token", str(path))
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert not (Path(job.environ["HOOP_HOME"]) / "profile.toml").exists()


def test_what_is_kept_is_not_used_once_others_can_read_it(
    job: RealAgent, cluster: HostileProvider, tmp_path: Path
) -> None:
    mounted = tmp_path / "token"
    mounted.write_text(of_cluster(cluster))
    assert job.hoop("login", "--workload-token", str(mounted)).returncode == 0
    os.chmod(file_of(job), 0o644)
    done = job.hoop("status")
    assert done.returncode == 1
    assert "read by others" in done.stderr
