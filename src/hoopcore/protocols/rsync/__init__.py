"""rsync over SSH, as protocol 29 has it: every file that goes is judged and accounted for.

``pulling``: reading in straight lines · ``listing``: the list of files, in both ends' order ·
``tokens``: what is in a file · ``asking``: the receiving end · ``sending``: the sending end ·
``passage``: both, with versions and frames.  Why so: 0046.
"""

from hoopcore.protocols.rsync.passage import RsyncPassage

__all__ = ["RsyncPassage"]
