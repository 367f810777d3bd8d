"""The statement that carrying files is: what rules and scopes go by."""

from __future__ import annotations

from hoopcore.command import Command, Shell, Text, Transfer
from hoopcore.statement import Effect, Relation, Statement, Touch

_EFFECTS = {"download": Effect.DOWNLOAD, "list": Effect.LIST, "look": Effect.LIST}


def doing(program: str, *transfers: Transfer) -> Statement:
    """The statement that these are together: of ``sftp``, ``scp`` or ``rsync``.

    In a scope it is ``sftp:download``, ``sftp:list``, or ``sftp:upload`` for whatever changes
    something there.
    """
    effects = frozenset(_EFFECTS.get(one.action, Effect.UPLOAD) for one in transfers)
    actions = tuple(dict.fromkeys(one.action for one in transfers))
    files = dict.fromkeys(file for one in transfers for file in one.files)
    return Statement(
        effects=effects,
        touches=frozenset(Touch(Relation("", program), effect) for effect in effects),
        tag=" ".join((program, *actions)),
        shell=Shell(
            commands=(Command(program, tuple(map(Text, actions))),),
            files=tuple(files),
            transfers=transfers,
        ),
    )
