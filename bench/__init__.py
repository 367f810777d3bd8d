"""Speed as a ratio to a direct connection, an empty relay and pgbouncer."""
