"""Commands that carry files, and which files of the host they mean.

``reading``: scp and rsync as the far end of a transfer, read from the text of a command ·
``rsync_options``: what rsync is told there · ``roots``: where the names of a transfer lie.
"""

from hoopcore.calls.reading import (
    NotCarried,
    RsyncCall,
    ScpCall,
    carried,
    hides_transfer,
    transfer_of,
)
from hoopcore.calls.roots import Roots

__all__ = [
    "NotCarried",
    "Roots",
    "RsyncCall",
    "ScpCall",
    "carried",
    "hides_transfer",
    "transfer_of",
]
