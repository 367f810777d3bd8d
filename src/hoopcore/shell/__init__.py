"""Shell commands as statements: which programs a text runs, and which files it names.

What is not understood for certain is *unreadable*, which rules about commands refuse.  A text that
was read ran nothing but what was read, in every shell it is read for: that is the one promise, and
tests hold it against real shells.

``values``, ``expansions``, ``words``, ``compounds``, ``grammar``: the parser, each upon the one
before · ``seeing``, ``builtins``, ``runners``, ``through``: what the programs of a text run ·
``tables``: which these are, and their options · ``reading``: the statement that comes of it.  Why
this is no grammar of somebody else's: 0044.
"""

from hoopcore.shell.reading import LARGEST, read

__all__ = ["LARGEST", "read"]
