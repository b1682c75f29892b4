"""What a database must also do to hold the log: judge and store a batch of appends."""

from __future__ import annotations

from typing import Protocol

from goldseam.database.connection import Connection, Database
from goldseam.store.batch import Batch, Verdict


class LogConnection(Connection, Protocol):
    """A connection that can append."""

    async def append(self, batch: Batch) -> list[Verdict]:
        """Judge and store ``batch`` under the store's lock; one verdict for each append."""
        ...


class LogDatabase(Database, Protocol):
    """A database that can append."""

    async def append(self, batch: Batch) -> list[Verdict]:
        """Store ``batch`` in one transaction of its own.

        Raises:
            StoreUnavailable: it surely was not stored.
            CommitUnknown: the connection was lost after the batch was sent.
        """
        ...
