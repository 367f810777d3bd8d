"""The form of ``hoop review mine``: a list of what waits, a card, and one key an answer.

``app`` is the screen and its keys; ``words`` what stands on it.  It comes with the extra ``tui``.
"""
