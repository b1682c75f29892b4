"""PostgreSQL's errors, translated once, by SQLSTATE and constraint name."""

from __future__ import annotations

import psycopg
from psycopg import errors as pg

from goldseam.errors import (
    IdempotencyMismatch,
    SchemaError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)

_CONNECTION_ENDED = ("57P01", "57P02", "57P03", "57P05", "25P03")
"""The server is going down or coming up, or this connection was idle for too long."""


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection is gone, so that nobody knows what the server did."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate in _CONNECTION_ENDED or error.sqlstate.startswith("08")


def translate(error: psycopg.Error) -> Exception:
    """The goldseam error for ``error``; errors of the user's own SQL stay as they are."""
    if isinstance(error, pg.DiskFull):
        return StoreFull(first_line(error))
    if error.sqlstate == "GS001" or isinstance(error, pg.ReadOnlySqlTransaction):
        return StoreReadOnly(first_line(error))
    if isinstance(error, pg.UniqueViolation):
        if error.diag.constraint_name == "goldseam_events_id":
            return IdempotencyMismatch("event id", "an event id was used before")
        return error
    if isinstance(error, pg.UndefinedTable | pg.UndefinedFunction) and "goldseam_" in str(error):
        return SchemaError(f"{first_line(error)}; run `goldseam store apply`")
    unavailable = (pg.LockNotAvailable, pg.TooManyConnections, pg.OutOfMemory, pg.DeadlockDetected)
    if is_lost(error) or isinstance(error, unavailable):
        return StoreUnavailable(first_line(error))
    return error


def first_line(error: Exception) -> str:
    """The driver's words without its hints."""
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
