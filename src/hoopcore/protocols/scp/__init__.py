"""scp's own protocol (``scp -O``): every file that goes is judged and accounted for.

``records``: one end's stream, cut into what it is made of · ``passage``: both ends in turn.
"""

from hoopcore.protocols.scp.passage import ScpPassage

__all__ = ["ScpPassage"]
