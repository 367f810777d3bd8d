"""scp and rsync on a channel: which commands they are, and who reads what goes through.

A command that carries files in a way that cannot be accounted for is refused before it runs.
"""

from __future__ import annotations

from hoopagent.shells.judging import Asked
from hoopagent.shells.live import ShellLive
from hoopcore.calls import ScpCall, transfer_of
from hoopcore.calls.reading import RsyncCall
from hoopcore.passage import Passage
from hoopcore.policy import FileRules
from hoopcore.protocols.rsync import RsyncPassage
from hoopcore.protocols.scp import ScpPassage
from hoopcore.statement import Reading


def transfer_passage(live: ShellLive, asked: Asked, reading: Reading) -> Passage | None:
    """Who reads a transfer; None where the command is none."""
    if asked.kind != "exec":
        return None
    call = transfer_of(asked.text, reading, bash=live.prepared.section.shell == "bash")
    rules = FileRules(lambda: live.judge.in_force)
    if isinstance(call, ScpCall):
        return ScpPassage(call, rules)
    if isinstance(call, RsyncCall):
        return RsyncPassage(call, rules)
    return None
