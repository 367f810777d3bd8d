"""SSH targets: hosts whose accounts people use through the agent, with the ssh they have.

``shells``: opening a session and ending it · ``live``: one that is open · ``target``: the agent's
own connection to the host · ``client``: a channel of the person's · ``bridge``: what one channel
does, from its judgement to its last byte.
"""
