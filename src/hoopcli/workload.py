"""Signing in what is no person: a CI job, a service, an AI agent.

Nobody is asked anything.  What vouches for it is a token in a file, which a platform keeps fresh
(Kubernetes' projected tokens, for one), or an access token that the provider gives for a client id
and a secret (RFC 6749 4.4).  Only *where* these are is remembered: the file is read, and the secret
looked up, at each renewal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from hoopcli.errors import Failure, usage

LARGEST = 32 << 10  # bytes of a token; the agent takes no larger one


@dataclass(frozen=True, slots=True)
class Means:
    """Where the token comes from: ``token_file``, or all of the others."""

    token_file: str = ""
    client: str = ""
    secret: str = ""  # a reference: env:NAME or file:PATH
    issuer: str = ""
    audience: str = ""
    scope: str = ""

    @classmethod
    def kept(cls, told: Mapping[str, str]) -> Means:
        """As a profile has them; what is unknown is left out."""
        return cls(**{name: told.get(name, "") for name in cls.__slots__})

    def to_keep(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value}


def means(
    token_file: Path | None, client: str, secret: str, issuer: str, audience: str, scope: str
) -> Means | None:
    """What was typed, if it is of a workload; usage errors where it cannot be meant."""
    if token_file is None and not client:
        if secret or issuer or audience or scope:
            usage("--client-secret, --issuer, --audience and --scope go with --client-credentials")
        return None
    if token_file is not None:
        if client or secret or issuer or audience or scope:
            usage("--workload-token stands alone: everything is in the token")
        return Means(token_file=str(token_file.absolute()))
    kind, _, name = secret.partition(":")
    if kind not in ("env", "file") or not name:
        usage(
            "--client-credentials wants a secret, and never the secret itself",
            "Say where it is:  --client-secret env:NAME  or  --client-secret file:PATH",
        )
    if not issuer:
        # The agent names one too; but then an agent could have the secret sent to itself.
        usage(
            "--client-credentials wants --issuer: the provider that the secret is for",
            f"hoop login --client-credentials {client} --client-secret {kind}:… --issuer URL",
        )
    if kind == "file":
        secret = f"file:{Path(name).absolute()}"
    return Means("", client, secret, issuer, audience, scope)


def token(means: Means, ca_file: str) -> str:
    """The token of now."""
    if means.token_file:
        return _one_token(_read(Path(means.token_file), "the token"), means.token_file)
    told = _ask(means, means.issuer, ca_file)
    return _one_token(told.get("access_token"), f"the answer of {means.issuer}")


def _ask(means: Means, issuer: str, ca_file: str) -> dict[str, Any]:
    from hoopcli import oidc

    form = {"grant_type": "client_credentials"}
    form |= {"scope": means.scope} if means.scope else {}
    if means.audience:
        form["audience"] = means.audience
        if "://" in means.audience:  # RFC 8707: a resource is a URI
            form["resource"] = means.audience
    secret, auth = _secret(means.secret), None
    with oidc.connect(issuer, ca_file) as http:
        endpoints = oidc.discover(http, issuer)
        if "client_secret_basic" in endpoints.client_auth:
            auth = (quote_plus(means.client), quote_plus(secret))  # RFC 6749 2.3.1
        elif "client_secret_post" in endpoints.client_auth:
            form |= {"client_id": means.client, "client_secret": secret}
        else:
            raise Failure(f"{issuer} takes no client secret")
        return oidc.redeem(http, endpoints, form, auth)


def _secret(reference: str) -> str:
    kind, _, name = reference.partition(":")
    if kind == "file":
        return _read(Path(name), "the client secret")
    secret = os.environ.get(name, "")
    if not secret:
        raise Failure(f"the client secret is not there: ${name} is not set")
    return secret


def _read(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1).decode("ascii").strip()
    except OSError as problem:
        raise Failure(f"{what} in {path} could not be read: {problem.strerror}") from problem
    except UnicodeDecodeError:
        text = ""
    if not text or len(text) > LARGEST:
        raise Failure(f"{what} in {path} is not one: empty, binary or too long")
    return text


def _one_token(text: Any, where: str) -> str:
    """The agent looks into the token, so it must be one that can be looked into."""
    if not isinstance(text, str) or text.count(".") != 2:
        raise Failure(f"{where} holds no JWT, and hoop can tell nothing by another token")
    return text
