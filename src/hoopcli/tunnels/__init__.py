"""The near end of a connection: what a client on this machine finds under one address, always.

One background process holds it all (``daemon``): an SSH connection to each agent elsewhere, made
again after sleep and change of network (``link``); listeners that stay while that happens
(``ends``), whose clients prove themselves there (``front``); and an ssh-agent for stock ssh
(``ssh_agent``).  ``calls`` is how a ``hoop`` at a terminal speaks to it, and imports nothing heavy.
What is remembered from day to day is in ``records``.
"""
