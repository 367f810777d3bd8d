"""Sees through programs that run other programs: which part of the reading knows which of them."""

from __future__ import annotations

from collections.abc import Callable

from hoopcore.command import Text
from hoopcore.shell.runners import Runners
from hoopcore.shell.tables import (
    ESCAPES,
    INTERPRETERS,
    RUNNERS,
    SHELLS,
    UNREAD,
)
from hoopcore.shell.values import Unreadable


class Through(Runners):
    """What a text runs, with all that this runs."""

    def special(self, family: str, arguments: list[Text]) -> None:
        special = _SPECIAL.get(family)
        if special is not None:
            special(self, family, arguments)
        elif family in SHELLS:
            self._shell(family, arguments)
        elif family in RUNNERS:
            self._runner(family, arguments)
        elif family in UNREAD or family.startswith(("ld-linux", "ld.so")):
            raise Unreadable(f"{family} may run anything, by keys or by what it reads")
        elif INTERPRETERS.fullmatch(family):
            self._interpreter(family, arguments)
        elif family in ESCAPES:
            self._escapes(family, arguments)


_SPECIAL: dict[str, Callable[..., None]] = {
    "xargs": Through._xargs,
    "command": Through._command,
    "flock": Through._flock,
    "watch": Through._watch,
    "ssh": Through._ssh,
    "su": Through._su,
    "awk": Through._awk,
    "gawk": Through._awk,
    "mawk": Through._awk,
    "nawk": Through._awk,
    "sed": Through._sed,
    "find": Through._find,
    "git": Through._git,
    "eval": Through._eval,
    ".": Through._source,
    "source": Through._source,
    "trap": Through._trap,
    "alias": Through._alias,
    "set": Through._set,
    "export": Through._declare,
    "readonly": Through._declare,
    "local": Through._declare,
    "declare": Through._declare,
    "typeset": Through._declare,
    "read": Through._reads,
    "getopts": Through._reads,
    "unset": Through._reads,
    "wait": Through._wait,
    "printf": Through._printf,
    "test": Through._test,
    "[": Through._test,
    "jobs": Through._jobs,
    "psql": Through._client,
    "mysql": Through._client,
    "mariadb": Through._client,
    "cd": Through._cd,
    "pushd": Through._cd,
}
