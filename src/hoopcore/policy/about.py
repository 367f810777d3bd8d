"""Whom, what and when a rule is about, held against what is known of a session.

A condition that is left out is met.  One on a fact that is not known is neither met nor not met:
``meets`` gives None, and who asks decides what that means.  A refusal takes it as met, an allowance
as not met, so that what nobody knows never opens a door.

Order: what is known, the conditions, and each of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from hoopcore.model import Kind, Priority, Time
from hoopcore.policy.windows import Window

Network: TypeAlias = IPv4Network | IPv6Network

LOCAL = "local"
"""The address of who comes through a socket of the agent's own machine, where there is no IP."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of who asks, on what, from where and when.  None: it is not known."""

    target: str | None = None
    labels: tuple[tuple[str, str], ...] | None = None
    groups: frozenset[str] | None = None
    roles: frozenset[str] | None = None  # of roles.toml
    kind: Kind | None = None
    priorities: frozenset[Priority] | None = None  # of the requests behind the grants
    address: str | None = None  # an IP address, or LOCAL
    at: Time | None = None


@dataclass(frozen=True, slots=True)
class About:
    """Conditions that are all to be met.  Of the entries of one, any will do."""

    targets: tuple[re.Pattern[str], ...] = ()
    labels: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...] = ()
    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    priorities: frozenset[Priority] = frozenset()
    addresses: tuple[Network | None, ...] = ()  # None: LOCAL
    times: tuple[Window, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The conditions there are."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name))

    def meets(self, known: Known) -> bool | None:
        """Whether all conditions are met; None where that hangs on a fact that is not known."""
        answers = (
            _any_of(self.targets, known.target),
            self._labels(known),
            _shared(self.groups, known.groups),
            _shared(self.roles, known.roles),
            _shared(self.kinds, None if known.kind is None else frozenset({known.kind})),
            _shared(self.priorities, known.priorities),
            self._address(known),
            self._times(known),
        )
        if False in answers:
            return False
        return None if None in answers else True

    def _labels(self, known: Known) -> bool | None:
        if not self.labels:
            return True
        if known.labels is None:
            return None
        has = dict(known.labels)
        return all(name in has and _any_of(wanted, has[name]) for name, wanted in self.labels)

    def _address(self, known: Known) -> bool | None:
        if not self.addresses:
            return True
        if known.address is None:
            return None
        if known.address == LOCAL:
            return None in self.addresses
        found = address_of(known.address)
        if found is None:
            return None
        return any(network is not None and found in network for network in self.addresses)

    def _times(self, known: Known) -> bool | None:
        if not self.times:
            return True
        at = known.at
        return None if at is None else any(window.holds(at) for window in self.times)


EVERYBODY = About()


def _any_of(patterns: tuple[re.Pattern[str], ...], word: str | None) -> bool | None:
    if not patterns:
        return True
    return None if word is None else any(one.fullmatch(word) for one in patterns)


def _shared(wanted: frozenset[str], has: frozenset[str] | None) -> bool | None:
    if not wanted:
        return True
    return None if has is None else not wanted.isdisjoint(has)


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address; of one that maps IPv4 into IPv6 the former; None where it is none."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def network_of(text: str) -> Network | None:
    """A network such as ``10.0.0.0/8``, an address alone, or None for LOCAL; else ValueError."""
    if text == LOCAL:
        return None
    try:
        return ip_network(text)
    except ValueError as problem:
        raise ValueError(f'"{text}" is no network: {problem}') from None
