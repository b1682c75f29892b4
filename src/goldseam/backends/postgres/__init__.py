"""PostgreSQL through psycopg 3."""

from __future__ import annotations

from goldseam.backends.postgres.database import PostgresDatabase, open_database

__all__ = ["PostgresDatabase", "open_database"]
