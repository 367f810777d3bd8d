"""The numbers of ``versions``, for who cannot wait for more than them (``hoopcli.quick``)."""

HEADER = "X-Hoop-Api"

NEWEST = 2
OLDEST = 1  # what the first release spoke, which said nothing of it

RANGE = f"{OLDEST}..{NEWEST}"
