"""The parts of hoop that may be compiled: ``HOOP_COMPILE=1`` turns them into C, by mypyc.

Without it nothing is compiled and nothing but pip is needed.  With it mypy and a C compiler have to
be there already (``pip install --no-build-isolation``); the same code then takes about half of the
processor's time for a statement.  docs/decisions/0023 says why, and what such a module may not do.

    HOOP_COMPILE=1 python setup.py build --build-lib build/compiled    PYTHONPATH=build/compiled …
"""

import os

from setuptools import setup

# What runs for every statement or every row, and what these hold: all of it becomes one library, so
# that a call from one to another is a call in C.
HOT = (
    "hoopcore/stream.py",
    "hoopcore/styles.py",
    "hoopcore/protocols/postgres/asks.py",
    "hoopcore/protocols/postgres/bodies.py",
    "hoopcore/protocols/postgres/copies.py",
    "hoopcore/protocols/postgres/copy_arrays.py",
    "hoopcore/protocols/postgres/descriptions.py",
    "hoopcore/protocols/postgres/due.py",
    "hoopcore/protocols/postgres/hits.py",
    "hoopcore/protocols/postgres/incoming.py",
    "hoopcore/protocols/postgres/keeping.py",
    "hoopcore/protocols/postgres/lane.py",
    "hoopcore/protocols/postgres/names.py",
    "hoopcore/protocols/postgres/refuse.py",
    "hoopcore/protocols/postgres/replies.py",
    "hoopcore/protocols/postgres/row_arrays.py",
    "hoopcore/protocols/postgres/row_frames.py",
    "hoopcore/protocols/postgres/rows.py",
    "hoopcore/protocols/postgres/stream.py",
    "hoopcore/protocols/postgres/texts.py",
    "hoopcore/protocols/postgres/wire.py",
    "hoopcore/recording/chain.py",
    "hoopcore/recording/frames.py",
    "hoopcore/recording/redaction.py",
    "hoopcore/sql/shapes.py",
    "hoopagent/evidence.py",
    "hoopagent/judge.py",
    "hoopagent/line.py",
    "hoopagent/live.py",
    "hoopagent/naming.py",
    "hoopagent/recorder.py",
    "hoopagent/relay.py",
)


def compiled() -> list[object]:
    """The extension modules; none unless they are asked for."""
    if os.environ.get("HOOP_COMPILE") != "1":
        return []
    from mypyc.build import mypycify

    extensions: list[object] = mypycify(
        ["--strict", *(f"src/{path}" for path in HOT)], opt_level="3", debug_level="0"
    )
    return extensions


setup(ext_modules=compiled())
