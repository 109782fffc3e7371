"""Replies kept: in memory, and in one SQLite file that threads and processes share."""
