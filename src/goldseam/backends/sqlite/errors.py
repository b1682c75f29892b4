"""SQLite's errors, translated once, by code."""

from __future__ import annotations

import sqlite3

from goldseam.errors import (
    Corrupt,
    IdempotencyMismatch,
    SchemaError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)

_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
}


def translate(error: sqlite3.Error) -> Exception:
    """The goldseam error for ``error``; errors of the user's own SQL stay as they are."""
    primary = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    text = str(error)
    if primary == sqlite3.SQLITE_FULL:
        return StoreFull(text)
    if primary in _UNAVAILABLE:
        return StoreUnavailable(text)
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Corrupt(f"the database file is damaged ({text}); restore it from a backup")
    if "the store has moved" in text:
        return StoreReadOnly(text)
    if "goldseam_events.tenant, goldseam_events.id" in text:
        return IdempotencyMismatch("event id", "an event id was used before")
    if "no such table: goldseam_" in text or "no such column: goldseam_" in text:
        return SchemaError(f"{text}; run `goldseam store apply`")
    return error
