"""The processes that do the work: control (decisions and rollback) and watch (watching and forward writes)."""
