"""Run what the documentation says: every command, file, setting and output that a page shows."""
