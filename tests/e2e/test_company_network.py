"""A provider behind the company's proxy, with a certificate of the company's own authority."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.agents import RealAgent, running_agent
from tests.certificates import Authority
from tests.connect_proxy import Proxy, running_proxy
from tests.hostile_provider import HostileProvider, running_provider
from tests.servers import private_folder

# RFC 6761: no resolver knows it, so whoever reaches it went through the proxy.
NAME = "id.company.invalid"


@dataclass
class Company:
    provider: HostileProvider
    proxy: Proxy
    authority: Authority
    agent: RealAgent

    @property
    def outside(self) -> dict[str, str]:
        """What an engineer's environment says; the lower-case spelling is older and counts too."""
        return {"https_proxy": self.proxy.url, "HTTP_PROXY": self.proxy.url}


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    with private_folder() as folder:
        authority = Authority(folder)
        certificate = authority.issue("id", names=(NAME,))
        with (
            running_proxy() as proxy,
            running_provider(certificate, NAME) as provider,
            running_agent(
                provider.issuer,
                f"ca_file = {json.dumps(str(authority.file))}",
                environ={"HTTPS_PROXY": proxy.url, "HTTP_PROXY": proxy.url},
            ) as agent,
        ):
            yield Company(provider, proxy, authority, agent)


def aged(agent: RealAgent) -> None:
    agent.keep(replace(agent.kept(), issued=time.time() - 3600, expires=time.time() + 10))


def test_signing_in_renewing_and_out_through_the_proxy_by_the_companys_authority(
    company: Company,
) -> None:
    agent, ca = company.agent, str(company.authority.file)
    company.proxy.asked.clear()
    status, said = agent.login(lambda _: None, "--ca-file", ca, **company.outside)
    assert status == 0, said
    assert company.proxy.asked
    assert {line.split()[1] for line in company.proxy.asked} == {f"{NAME}:{company.provider.port}"}

    aged(agent)
    before, asked = agent.kept().token, len(company.proxy.asked)
    done = agent.hoop("status", "-o", "names", **company.outside)  # the file is remembered
    assert (done.returncode, done.stdout, done.stderr) == (0, "ana@shop.example\n", "")
    assert agent.kept().token != before
    assert len(company.proxy.asked) > asked
    # Neither the agent's unix socket nor its SSH door was reached through the proxy.
    assert all(NAME in line for line in company.proxy.asked)
    out = agent.hoop("logout", **company.outside)
    assert (out.returncode, out.stderr) == (0, "Signed out.\n")
    assert company.provider.count("/revoke") == 1
    status, said = agent.login(lambda _: None, **company.outside)  # after a sign-out too
    assert status == 0, said
    assert agent.hoop("logout", **company.outside).returncode == 0


def test_ssl_cert_file_does_it_too(company: Company, tmp_path: Path) -> None:
    more = {"SSL_CERT_FILE": str(company.authority.file), "HOOP_HOME": str(tmp_path / "home")}
    status, said = company.agent.login(lambda _: None, **company.outside, **more)
    assert status == 0, said
    assert company.agent.hoop("logout", **company.outside, **more).returncode == 0


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "certificate"),
        ({"no_proxy": NAME}, "could not reach"),
        ({"https_proxy": "socks5://127.0.0.1:1"}, "proxy"),
        ({"https_proxy": "http://127.0.0.1:1"}, "could not reach"),
        ({"https_proxy": "nonsense://x"}, "proxy"),
    ],
    ids=["no_authority", "no_proxy", "socks", "no_such_proxy", "no_proxy_at_all"],
)
def test_what_is_wrong_with_the_way_there_is_said(
    company: Company, tmp_path: Path, environ: dict[str, str], words: str
) -> None:
    fresh = {"HOOP_HOME": str(tmp_path / "home")}  # where no authority is remembered
    done = company.agent.hoop("login", "--no-browser", **(company.outside | environ | fresh))
    assert done.returncode == 1
    assert words in done.stderr
    assert "should not have" not in done.stderr


@pytest.mark.parametrize("name", ["missing.pem", "empty.pem"])
def test_a_file_without_certificates_is_said(company: Company, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.pem").touch()
    done = company.agent.hoop(
        "login", "--no-browser", "--ca-file", str(tmp_path / name), **company.outside
    )
    assert done.returncode == 1
    assert name in done.stderr
    assert "should not have" not in done.stderr


def test_this_machine_is_never_reached_through_a_proxy(company: Company) -> None:
    names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "all_proxy")
    everything = dict.fromkeys(names, company.proxy.url)
    with (
        running_provider() as provider,
        running_agent(provider.issuer, environ=everything) as agent,
    ):
        company.proxy.asked.clear()
        status, said = agent.login(lambda _: None, **everything)
        assert status == 0, said
        assert agent.hoop("status", **everything).returncode == 0
        assert agent.hoop("targets", **everything).returncode == 0
        assert agent.hoop("logout", **everything).returncode == 0
        assert company.proxy.asked == []
