"""``hoop``: from what was typed to an exit code.

The one place that prints a failure.  ``--version`` answers before anything is imported, and a
traceback is shown only to who asks for one (HOOP_DEBUG=1).
"""

from __future__ import annotations

import os
import sys

from hoopcli import __version__

_DEBUG = "HOOP_DEBUG=1 in the environment shows where."


def main() -> None:
    """The console script: runs what was typed and leaves the process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of one command line."""
    if arguments in (["--version"], ["-V"]):
        print(f"hoop {__version__}")
        return 0
    try:
        code = _run(arguments)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 1  # who read our output has had enough, and needs no telling
    return _flushed(code)


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["connect"]:
        from hoopcli import quick

        quick.connect(arguments[1:])  # does not come back where nothing is out of the ordinary
    from hoopcli import app
    from hoopcli.errors import Failure

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # None when closed, and a test's may be its own
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8
    if os.environ.get("HOOP_DEBUG"):
        return app.run(arguments)
    try:
        return app.run(arguments)
    except Failure as failure:
        return _tell(failure.message, failure.hint, failure.code)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _tell(f"{error.strerror or error}{where}", _DEBUG)
    except Exception as error:  # noqa: BLE001 - the border: a person never reads a traceback
        said = f"{type(error).__name__}: {error}"
        return _tell(f"something went wrong that should not have ({said})", _DEBUG)


def _tell(message: str, hint: str, code: int = 1) -> int:
    from hoopcli.errors import told

    print(told(_lines(message), _lines(hint)), file=sys.stderr)
    return code


def _flushed(code: int) -> int:
    """The same code, once all output is out; 1 where it cannot be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # What is still in the buffer goes nowhere, or Python would complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code == 0 and not isinstance(error, BrokenPipeError):
            return _tell(f"could not write the output: {error.strerror}", "")
        return code or 1
    return code


def _lines(text: str) -> str:
    """The text with its line ends, and without anything else a terminal would obey."""
    from hoopcli.view import clean

    return "\n".join(map(clean, text.splitlines()))


if __name__ == "__main__":
    main()
