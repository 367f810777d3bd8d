"""The player of recordings: what ``hoop replay`` is in a terminal.

``tape`` has the bytes, of which more may come; ``reel`` finds any row in them without reading what
stands before it; ``rows`` says what a row looks like; ``seeking`` and ``pace`` move about in them;
``checking`` verifies behind the scenes.  All of that is without a screen; ``screens`` and ``app``
are the screen (Textual, the extra ``tui``).
"""
