"""Masks over what a terminal, or a command, shows: values are found as they stand on the screen.

``sequences`` tells what is text from what only moves or colours it · ``row`` is one line of the
screen · ``prefixes`` and ``opening`` say what may still become a value, and so has to wait ·
``finder`` finds · ``pems`` are private keys, which go over many lines · ``flow`` puts these
together · ``stream`` is a flow of bytes, with a quick way past what holds nothing · ``masks`` is
the passage · ``errors`` has masks beside a passage of files · ``clear`` says which commands are no
text.
"""

from hoopcore.terminal.clear import clear_command
from hoopcore.terminal.errors import WordsMasked
from hoopcore.terminal.finder import Finder
from hoopcore.terminal.flow import Flow
from hoopcore.terminal.masks import Masks, masks
from hoopcore.terminal.stream import Output

__all__ = ["Finder", "Flow", "Masks", "Output", "WordsMasked", "clear_command", "masks"]
