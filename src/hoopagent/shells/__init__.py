"""SSH targets: hosts whose accounts people use through the agent, with the ssh they have.

``shells``: opening a session and ending it · ``live``: one that is open · ``target``: the agent's
own connection to the host · ``client``: a channel of the person's, from what is asked for to its
end · ``judging``: the verdict on that · ``carrying``: the bytes · ``screen``: what a terminal
shows, for the recording.
"""
