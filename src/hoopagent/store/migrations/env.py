"""Alembic's way in.  The connection, and the transaction it is in, are the caller's.

A new step:  write ``versions/vNNNN_what.py`` by hand, after the last one, and let
tests/store/test_migrations.py say whether it leads to what ``tables.py`` describes.
"""

from __future__ import annotations

from alembic import context

from hoopagent.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="hoop_version",  # in a shared database other programs have alembic's own
)
with context.begin_transaction():
    context.run_migrations()
