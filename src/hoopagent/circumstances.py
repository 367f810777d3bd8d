"""What rules may ask about a session beside its principal and target.

Found out once, when the session opens.  What cannot be told is None, and counts against.
"""

from __future__ import annotations

from typing import NamedTuple

from hoopagent.config import Config
from hoopcore.model import Principal, Priority
from hoopcore.policy import LOCAL
from hoopcore.policy.about import address_of


class Circumstances(NamedTuple):
    """See ``hoopcore.policy.Facts``, where these go."""

    roles: frozenset[str]
    priorities: frozenset[Priority] | None
    address: str | None


UNTOLD = Circumstances(frozenset(), None, None)


def circumstances(
    config: Config, principal: Principal, priorities: frozenset[Priority], origin: str
) -> Circumstances:
    """Of a session of this principal, on grants that were asked for at these priorities."""
    return Circumstances(roles_of(config, principal), priorities, address_in(origin))


def roles_of(config: Config, principal: Principal) -> frozenset[str]:
    """The roles of roles.toml that the principal has."""
    roles = config.roles.items()
    return frozenset(name for name, role in roles if role.groups & principal.groups)


def address_in(origin: str) -> str | None:
    """The client's address in what a door says of it.

    ``unix uid 1000``, ``127.0.0.1:50412``, ``[::1]:50412``, or an address alone.
    """
    if origin.startswith("unix "):
        return LOCAL
    if origin.startswith("["):
        host = origin[1:].partition("]")[0]
    elif origin.count(":") > 1:  # of IPv6, and no port behind it
        host = origin
    else:
        host = origin.partition(":")[0]
    return host if address_of(host) is not None else None
