"""``hoop login`` at a certified provider that nobody here wrote: npm ``oidc-provider``."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from hoopcli.demo.postgres import free_port
from tests.agents import page_in, running_agent
from tests.servers import missing, private_folder
from tests.signing import Desk, running_desk

NPM = Path(__file__).parents[1] / "npm"


@contextmanager
def oidc_provider(algorithm: str) -> Iterator[str]:
    """The provider on a free port; its issuer."""
    node = shutil.which("node")
    if node is None or not (NPM / "node_modules" / "oidc-provider").is_dir():
        missing("npm oidc-provider", "npm install --prefix tests/npm --no-package-lock")
    assert node is not None
    port = free_port()
    with subprocess.Popen(
        [node, "provider.mjs", str(port)],
        cwd=NPM,
        env={"HOOP_TEST_ALG": algorithm, "PATH": str(Path(node).parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def press(browser: httpx.Client, page: httpx.Response, **fields: str) -> httpx.Response:
    """Sends the first form of a page as a browser would, and follows where it leads."""
    form = re.search(r'<form[^>]*action="([^"]*)"', page.text)
    assert form, page.text
    values: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", page.text):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name:
            values[name[1]] = unescape(value[1]) if value else ""
    return browser.post(urljoin(str(page.url), unescape(form[1])), data=values | fields)


def person(name: str, *, answer: str = "yes") -> object:
    """Somebody who opens the page, signs in and says yes, or says no."""

    def approve(_code: str, page: str) -> None:
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=20) as browser:
            shown = browser.get(page)
            if 'name="confirm"' not in shown.text and "abort" not in shown.text:
                shown = press(browser, shown)
            if answer == "no":
                press(browser, shown, abort="yes")
                return
            shown = press(browser, shown, confirm="yes")
            shown = press(browser, shown, login=name, password="any")
            shown = press(browser, shown)
            assert "signed in" in shown.text, shown.text

    return approve


@pytest.fixture(params=["RS256", "PS256", "ES256", "EdDSA"])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    with (
        oidc_provider(request.param) as issuer,
        private_folder() as folder,
        running_desk(folder, issuer) as desk,
    ):
        yield desk


def test_login_renewal_and_logout_work_at_a_provider_we_did_not_write(desk: Desk) -> None:
    status, said = desk.login(person("ben"))  # type: ignore[arg-type]  # a person is callable
    assert status == 0, said
    assert "ben@shop.example" in said
    assert "dba" in said

    for _ in range(2):
        before = desk.kept()
        desk.age(10)  # near its end: the command renews it in silence
        done = desk.hoop("status", "-o", "names")
        assert (done.returncode, done.stdout, done.stderr) == (0, "ben@shop.example\n", "")
        after = desk.kept()
        assert after.token != before.token
        assert after.refresh_token != before.refresh_token  # this provider rotates
        assert after.key != before.key

    done = desk.hoop("logout")
    assert (done.returncode, done.stderr) == (0, "Signed out.\n")
    assert desk.hoop("status").returncode == 3


def in_a_browser(name: str, *, answer: str = "yes") -> Callable[[str], None]:
    """Somebody whose browser follows every redirect, the last one to hoop's own port."""

    def visit(said: str) -> None:
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=20) as browser:
            shown = browser.get(page_in(said))
            if answer == "no":
                away = re.search(r'href="([^"]*abort)"', shown.text)
                assert away, shown.text
                assert "not signed in" in browser.get(urljoin(str(shown.url), away[1])).text
                return
            shown = press(browser, shown, login=name, password="any")
            shown = press(browser, shown)
            assert "Go back to your terminal" in shown.text, shown.text

    return visit


def test_a_browser_signs_in_and_the_sign_in_is_renewed_and_ended() -> None:
    with (
        oidc_provider("ES256") as issuer,
        private_folder() as folder,
        running_desk(folder, issuer) as desk,
    ):
        status, said = desk.visited(in_a_browser("ben"), "--browser")
        assert status == 0, said
        assert "ben@shop.example" in said
        before = desk.kept()
        desk.age(10)
        done = desk.hoop("status", "-o", "names")
        assert (done.returncode, done.stdout, done.stderr) == (0, "ben@shop.example\n", "")
        assert desk.kept().token != before.token
        assert desk.kept().key == before.key  # this provider repeats the nonce, which is of a key
        done = desk.hoop("logout")
        assert (done.returncode, done.stderr) == (0, "Signed out.\n")

        status, said = desk.visited(in_a_browser("ben", answer="no"), "--browser")
        assert (status, "denied" in said) == (1, True), said


def test_a_program_signs_in_by_its_client_credentials() -> None:
    workload = """
[[identity.workloads]]
name = "ci"
owner = "dba"
audience = "https://hoop.example"
claims = { client_id = "ci", sub = "ci" }
groups = ["ci"]
"""
    with oidc_provider("PS256") as issuer, running_agent(issuer, workload) as agent:
        words = (
            "--client-credentials",
            "ci",
            "--client-secret",
            "env:CI_SECRET",
            "--issuer",
            issuer,
        )
        secret = {"CI_SECRET": "only for tests: a+b/c"}
        done = agent.hoop("login", *words, "--audience", "https://hoop.example", **secret)
        assert done.returncode == 0, done.stderr
        assert agent.hoop("status", "-o", "names").stdout == "ci\n"
        # Without an audience the token is of a kind that nobody can look into.
        done = agent.hoop("login", *words, "--force", **secret)
        assert done.returncode == 1
        assert "no JWT" in done.stderr


def test_a_denied_sign_in_leaves_nothing_behind() -> None:
    with (
        oidc_provider("RS256") as issuer,
        private_folder() as folder,
        running_desk(folder, issuer) as desk,
    ):
        status, said = desk.login(person("ana", answer="no"))  # type: ignore[arg-type]
        assert status == 1
        assert "denied" in said
        assert not list((folder / "home").rglob("*.sealed"))
