"""SQLite: the default, in process, durable with ``synchronous=FULL``."""

from __future__ import annotations

from goldseam.backends.sqlite.database import SqliteDatabase, open_database

__all__ = ["SqliteDatabase", "open_database"]
