"""``hoop login`` step by step: which agent, is it the right one, who are you, keep it.

The order is chosen so that what can fail without anybody's help fails first: the agent and its key,
a place for the credentials, the provider; only then is a person asked to open a page.  Until the
last step nothing is kept, so leaving at any point leaves nothing behind.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from hoopcli import asking, at_hand
from hoopcli.errors import Exit, Failure, NotSignedIn, say
from hoopcli.profile import (
    Pin,
    Place,
    changed_key,
    check,
    locate,
    pin_of,
    remember,
    sign_out_of,
    wanted,
)
from hoopcli.signin import labels

if TYPE_CHECKING:
    from hoopcli.credentials import Credentials, Vault
    from hoopcli.door import Welcome
    from hoopcli.oidc import Device, Tokens
    from hoopcli.workload import Means


@dataclass(frozen=True, slots=True)
class Way:
    """How to sign in.  Nothing said: as a person, by a code, opening a browser where one is."""

    page: bool = False  # by a page that comes back to this machine
    opens: bool = True  # whether a browser is opened
    means: Means | None = None  # as a workload
    ca_file: str = ""


def sign_in(
    agent: str | None, *, way: Way, force: bool, fingerprint: str | None
) -> tuple[Credentials, str]:
    """The new credentials, and the kind of place they are kept in."""
    from hoopcli import credentials, door

    place = locate(wanted(agent))
    host_key = _trusted_key(place, pin_of(place.name), fingerprint, force=force)
    welcome = door.welcome(place, host_key)
    vault = credentials.for_workload() if way.means else credentials.choose()
    with credentials.locked():
        pass  # a place that cannot be written is told of before a person has been to a page
    pin = _pin(place, host_key, welcome, vault, way)
    key = door.fresh_key()
    kind = door.WORKLOAD_TOKEN if way.means else door.ID_TOKEN
    tokens = _vouched(pin, way, welcome.scopes, key)
    with credentials.locked():
        from hoopcli.signin import made

        exchanged = made(door.exchange(place, host_key, key, tokens.id_token, kind=kind), key)
        kept = replace(exchanged, refresh_token=tokens.refresh_token)
        before = _earlier(place.name, vault)
        at_hand.drop(labels(place.name))
        try:
            vault.save(host_key, kept.to_text())
            remember(place.name, pin)
        except BaseException:
            _end(place.name, pin, kept)  # nobody can use it, and nobody could end it later
            raise
    if before is not None:
        _end(place.name, *before)
    from hoopcli.tunnels import calls

    calls.signed_in(place.name, str(getattr(vault, "_passphrase", "")))
    return kept, vault.kind


def _pin(place: Place, host_key: str, welcome: Welcome, vault: Vault, way: Way) -> Pin:
    """What is to be remembered.  The authorities of the last time count until others are named."""
    last = pin_of(place.name)
    known = last.ca_file if last is not None and last.issuer == welcome.issuer else ""
    return Pin(
        host_key,
        place.owner,
        welcome.issuer,
        welcome.client_id,
        vault.kind,
        way.ca_file or known,
        way.means.to_keep() if way.means else {},
    )


def sign_out(agent: str | None) -> list[str]:
    """Ends a sign-in here and at both ends; what could not be ended there, in words.

    NotSignedIn where there is none.  An agent or a provider that is away keeps nothing here.
    """
    from hoopcli import credentials

    name = wanted(agent)
    pin = pin_of(name)
    if pin is None:
        raise NotSignedIn
    vault = credentials.reopen(pin.vault)
    with credentials.locked():
        try:
            text = vault.load(pin.host_key)
        except NotSignedIn as problem:  # it is there, and what ends it elsewhere is in it
            said = f"not signed out: {problem.message}"
            hint = "Try again; or sign in anew first:  hoop login --force"
            raise Failure(said, hint, Exit.NOT_SIGNED_IN) from problem
        at_hand.drop(labels(name))
        vault.delete(pin.host_key)
        sign_out_of(name)
    if text is None:
        raise NotSignedIn
    try:
        kept = credentials.Credentials.from_text(text)
    except ValueError as problem:
        return [f"what was kept here could not be read: {problem}"]
    from hoopcli import stock_ssh
    from hoopcli.tunnels import calls

    calls.signed_out(name)
    stock_ssh.take_back(kept)
    return _end(name, pin, kept)


def end_everywhere(agent: str | None) -> None:
    """Ends all sign-ins of this person at the agent, those of keys and other machines too."""
    from hoopcli import door
    from hoopcli.signin import session

    here = session(agent)
    if not door.revoke_everywhere(here.place, here.pin.host_key, here.token()):
        said = "the agent is too old to sign you out everywhere"
        raise Failure(said, "Here alone:  hoop logout")


def _end(name: str, pin: Pin, kept: Credentials) -> list[str]:
    from hoopcli import door, oidc

    left = []
    try:
        door.revoke(locate(name), pin.host_key, [kept.token, *kept.retired])
    except Failure as problem:
        left.append(f"the agent knows your token until it ends: {problem.message}")
    try:
        if kept.refresh_token:
            with oidc.connect(pin.issuer, pin.ca_file) as http:
                endpoints = oidc.discover(http, pin.issuer)
                if not oidc.revoke(http, endpoints, pin.client_id, kept.refresh_token):
                    left.append(f"{pin.issuer} did not take the refresh token back")
    except Failure as problem:
        left.append(f"the refresh token was not taken back: {problem.message}")
    return left


# --- the agent ------------------------------------------------------------------------------------


def _trusted_key(place: Place, pin: Pin | None, fingerprint: str | None, *, force: bool) -> str:
    """The host key to hold the agent to; Failure where it is not the one it should be."""
    if place.api is not None and place.owner is None:
        raise Failure(
            f"{place.name} can be written by others, so what it says is not to be believed",
            f"chmod go-w {place.name}",
        )
    if fingerprint:
        if place.host_key and place.host_key != fingerprint:
            raise changed_key(place.name, fingerprint, place.host_key)
        return fingerprint
    if pin is not None:
        check(place, replace(pin, owner=place.owner) if force else pin)
        return pin.host_key
    if place.host_key and place.owner in (0, os.geteuid()):
        return place.host_key  # said by root, or by ourselves
    return _first_sight(place)


def _first_sight(place: Place) -> str:
    """A key nobody vouches for, shown to the person before anything is believed."""
    from hoopcli import door

    seen = place.host_key or door.shown_key(place)
    say(f"The agent at {place.name} is new here. Its host key:\n\n    {seen}\n")
    say("Compare it with what `hoop-agent init` printed, or ask whoever runs the agent.")
    if not asking.possible():
        raise Failure(
            "nobody is here to compare it",
            f"If it is right:  hoop login --agent {place.name} --fingerprint {seen}",
        )
    if asking.line("Is it the same? Type yes to go on: ") != "yes":
        raise Failure("not signed in: the host key was not confirmed")
    return seen


def _earlier(name: str, vault: Vault) -> tuple[Pin, Credentials] | None:
    """The sign-in that the new one takes the place of, if it can be read without asking."""
    from hoopcli.credentials import Credentials

    pin = pin_of(name)
    if pin is None or pin.vault != vault.kind:
        return None
    try:
        text = vault.load(pin.host_key)
        return (pin, Credentials.from_text(text)) if text else None
    except (Failure, ValueError):
        return None


# --- the provider ---------------------------------------------------------------------------------


def _vouched(pin: Pin, way: Way, scopes: tuple[str, ...], key: str) -> Tokens:
    """What somebody whom the agent believes says of us: a person's ID token, or a workload's."""
    from hoopcli import browser, door, oidc, workload

    if way.means:
        return oidc.Tokens(workload.token(way.means, pin.ca_file))
    with oidc.connect(pin.issuer, pin.ca_file) as http:
        endpoints = oidc.discover(http, pin.issuer)
        if way.page:
            nonce = door.nonce(pin.host_key, key)
            return browser.sign_in(
                http, endpoints, pin.client_id, scopes, nonce, show=partial(_show_page, way)
            )
        device = oidc.begin(http, endpoints, pin.client_id, scopes)
        _show(device, browser=way.opens)
        return oidc.wait(http, endpoints, pin.client_id, device)


def _show_page(way: Way, url: str) -> None:
    say("Sign in at this page, in a browser on this machine:")
    say(f"\n{url}\n")
    if way.opens and _open(url):
        say("A browser was opened.")
    elif os.environ.get("SSH_CONNECTION"):
        say("You are here by ssh, and a browser elsewhere does not find its way back:")
        say("sign in by a code instead, without --browser.")
    say("Waiting… (Ctrl-C to stop)")


def _show(device: Device, *, browser: bool) -> None:
    from hoopcli.view import clean

    say(f"Open  {clean(device.uri)}  on any device and enter this code.")
    say(f"Code: {clean(device.user_code)}")
    if device.complete_uri:
        say(f"Or, with the code in it:  {clean(device.complete_uri)}")
    if browser and _open(device.complete_uri or device.uri):
        say("A browser was opened. Check that it shows the same code.")
    say("Waiting… (Ctrl-C to stop)")


def _open(url: str) -> bool:
    """Whether a browser was opened; not where it would be on another screen, or a text one."""
    import webbrowser

    if os.environ.get("SSH_CONNECTION") or not sys.stderr.isatty():
        return False
    graphical = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    try:
        return graphical and webbrowser.open(url)
    except webbrowser.Error:
        return False
