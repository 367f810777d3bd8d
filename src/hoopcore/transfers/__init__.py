"""Commands that carry files, and which files of the host they mean.

``calls``: scp and rsync as the far end of a transfer, read from the text of a command ·
``rsync_options``: what rsync is told there · ``roots``: where the names of a transfer lie.
"""

from hoopcore.transfers.calls import (
    NotCarried,
    RsyncCall,
    ScpCall,
    hides_transfer,
    transfer_of,
)
from hoopcore.transfers.roots import Roots

__all__ = ["NotCarried", "Roots", "RsyncCall", "ScpCall", "hides_transfer", "transfer_of"]
