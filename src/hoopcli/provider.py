"""Asking an identity provider: one question, one bounded answer.

What a provider says is somebody else's text: it is bounded, its addresses are looked at before
they are opened or shown, and nothing of it reaches a terminal as it came.

Order of the file: the connection, the question, a no, and what may be in an answer.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hoopcli.errors import Failure

if TYPE_CHECKING:
    import ssl

    import httpx

LARGEST = 1 << 20  # bytes of any answer
LONGEST_CODE_TEXT = 64  # characters of what a person has to type
TIMEOUT = 20.0  # seconds without a word, and for a whole answer
LOOPBACK = ("all://127.0.0.1", "all://[::1]", "all://localhost")


class ProviderAway(Failure):
    """No answer, or none that can be understood.  Trying again may help."""


class ProviderRefused(Failure):
    """The provider's no; ``error`` is its word for why (RFC 6749 5.2, RFC 8628 3.5)."""

    def __init__(self, error: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.error = error


def connect(issuer: str, ca_file: str = "") -> httpx.Client:
    """An HTTP client for one provider.

    ``ca_file`` takes the place of the system's authorities, SSL_CERT_FILE adds to them.
    HTTPS_PROXY and NO_PROXY count, but no proxy has a part in talking to this machine.
    """
    import httpx

    try:
        return httpx.Client(
            verify=_trust(ca_file),
            timeout=TIMEOUT,
            follow_redirects=False,
            trust_env=not is_loopback(issuer),
            mounts=dict.fromkeys(LOOPBACK),
            # Asked for plain, since a small compressed answer may be a very large one.
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
    except (ImportError, ValueError, httpx.InvalidURL) as problem:
        raise Failure(f"the proxy of the environment cannot be used: {problem}") from problem


def _trust(ca_file: str) -> ssl.SSLContext:
    import ssl

    import certifi

    try:
        if ca_file:
            return ssl.create_default_context(cafile=ca_file)
        trust = ssl.create_default_context()  # the system's, or SSL_CERT_FILE
        trust.load_verify_locations(certifi.where())
        return trust
    except OSError as problem:  # of TLS too
        why = problem.strerror or str(problem)
        raise Failure(f"the certificates in {ca_file or 'SSL_CERT_FILE'}: {why}") from problem


def ask(
    http: httpx.Client,
    method: str,
    url: str,
    form: Mapping[str, str] | None = None,
    *,
    any_body: bool = False,
    auth: tuple[str, str] | None = None,
    limit: float | None = None,
) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of an answer; ProviderAway where there is neither.

    An answer that comes drop by drop has ``limit`` seconds altogether.
    """
    import httpx

    body, end = bytearray(), time.monotonic() + min(TIMEOUT if limit is None else limit, TIMEOUT)
    more: dict[str, Any] = {} if auth is None else {"auth": auth}
    try:
        with http.stream(method, protected(url), data=form, **more) as answer:
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise ProviderAway(f"{url} is compressed, and nobody asked for that")
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > LARGEST:
                    raise ProviderAway(f"{url} answered with more than {LARGEST} bytes")
                if time.monotonic() > end:
                    raise ProviderAway(f"{url} did not come to an end of its answer")
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        why = str(problem) or type(problem).__name__
        hint = "" if is_loopback(url) else "Is a proxy in the way?  See HTTPS_PROXY and --ca-file."
        raise ProviderAway(f"could not reach {url}: {why}", hint) from problem
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as problem:
        if any_body or answer.status_code >= 400:
            return answer.status_code, {}
        raise ProviderAway(f"{url} did not answer with JSON") from problem
    return answer.status_code, told if isinstance(told, dict) else {}


_WORDS = {
    "access_denied": "the sign-in was denied",
    "expired_token": "nobody entered the code in time",
    "invalid_client": "the provider does not know hoop's client id",
    "unauthorized_client": "the provider does not let hoop's client id sign in this way",
    "invalid_grant": "the provider does not take this sign-in any more",
}


def refusal(issuer: str, status: int, told: dict[str, Any]) -> ProviderRefused:
    from hoopcli.view import clean

    error = str(told.get("error") or status)[:LONGEST_CODE_TEXT]
    more = told.get("error_description")
    said = _WORDS.get(error, f"{issuer} refused: {clean(error)}")
    if isinstance(more, str) and error not in ("access_denied", "expired_token"):
        # One line, whatever it holds: it must not look like words of ours.
        said += f" ({clean(more[:200])})"
    return ProviderRefused(error, said, "hoop login" if error in _WORDS else "")


def is_loopback(url: str) -> bool:
    host = ""
    try:
        host = urlsplit(url).hostname or ""
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_plain(url: Any) -> bool:
    """Whether it is a URL that can be shown as it is."""
    if not isinstance(url, str) or len(url) > 4096:
        return False
    return url.isascii() and url.isprintable() and " " not in url


def protected(url: Any) -> str:
    """The URL, if nobody on the way can read along."""
    if _is_plain(url):
        try:
            scheme = urlsplit(url).scheme
            if scheme == "https" or (scheme == "http" and is_loopback(url)):
                return str(url)
        except ValueError:
            pass
    from hoopcli.view import clean

    raise Failure(f"the provider is to be reached by https only, not at {clean(str(url)[:200])}")


def page_of(url: Any) -> str:
    """A page for a person's browser, and nothing else that a browser might open.

    An address with a name in front of its host looks like that of another site.
    """
    if not _is_plain(url):
        raise ValueError("not a page")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("not a page")
    return str(url)


def number_of(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a number of seconds")
    return number


def text_of(value: Any, longest: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise ValueError("not a text")
    return value


def names_of(value: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in value) if isinstance(value, list) else ()
