"""The Database port on PostgreSQL: an append lane, a pool, a listener."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from goldseam.backends.postgres.append_lane import append
from goldseam.backends.postgres.connection import AsyncPostgresConnection
from goldseam.backends.postgres.errors import first_line, is_lost, translate
from goldseam.backends.postgres.lane import Lane
from goldseam.backends.postgres.read_lane import ReadLane
from goldseam.database.connection import Dialect, Operation, Parameters, Row
from goldseam.errors import CommitUnknown, InvalidName, StoreUnavailable
from goldseam.store.batch import Batch, Verdict
from goldseam.telemetry.signals import signals

T = TypeVar("T")

POOL_SIZE_MAX = 8
"""Connections for reads and projections; appends have one of their own."""

CONNECT_TIMEOUT_SECONDS = 5
POOL_WAIT_SECONDS = 10.0
RECONNECT_PAUSE_SECONDS = 0.2


class PostgresDatabase:
    """A PostgreSQL database, one schema of it if the URL says ``?schema=``."""

    dialect: Dialect = "postgresql"

    def __init__(self, url: str, conninfo: str, schema: str | None) -> None:
        self.url, self._conninfo = url, conninfo
        self._options: dict[str, Any] = {
            "autocommit": True,
            "prepare_threshold": 0,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        }
        if schema is not None:
            quoted = schema.replace('"', '""').replace("\\", "\\\\").replace(" ", "\\ ")
            self._options["options"] = f'-c search_path="{quoted}"'
        self._lane: Lane | None = None
        self._read_lane: ReadLane | None = None
        self._pool: AsyncConnectionPool[Any] | None = None
        self._closed = False

    async def append(self, batch: Batch) -> list[Verdict]:
        """Store a batch: one round trip on the append lane's own connection."""
        if self._lane is None:
            self._lane = Lane(await self._connect())
        try:
            return await append(self._lane, batch)
        except psycopg.Error as error:
            if not is_lost(error):
                raise translate(error) from error
            await self._drop_lane()
            raise CommitUnknown((), first_line(error)) from error
        except asyncio.CancelledError:
            await self._drop_lane()
            raise

    async def _drop_lane(self) -> None:
        lane, self._lane = self._lane, None
        if lane is not None:
            await lane.close()

    async def transact(self, operation: Operation[T]) -> T:
        """Run ``operation`` in one transaction of a pooled connection."""
        return await self._within(operation, "BEGIN")

    async def read(self, operation: Operation[T]) -> T:
        """Run ``operation`` on one snapshot; once more if the connection turns out to be lost."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        try:
            return await self._within(operation, begin)
        except StoreUnavailable:
            await (await self.pool()).check()
        return await self._within(operation, begin)

    async def read_one(self, operation: Operation[T]) -> T:
        """Run ``operation`` without a transaction around it: on the read lane if that is free.

        A lane that turns out to be lost is opened anew, once: reading again is safe.
        """
        fresh = self._read_lane is None
        try:
            return await self._read_one(operation)
        except StoreUnavailable:
            if fresh:
                raise
        return await self._read_one(operation)

    async def _read_one(self, operation: Operation[T]) -> T:
        lane = self._read_lane
        if lane is not None and lane.busy:
            async with _Borrowed(self) as raw:
                return await operation(AsyncPostgresConnection(raw))
        if lane is None:
            lane = ReadLane(Lane(await self._connect()))
            if self._read_lane is None:
                self._read_lane = lane
        lane.busy = True
        try:
            return await operation(lane)
        except (StoreUnavailable, asyncio.CancelledError):
            await self._drop_read_lane(lane)
            raise
        finally:
            lane.busy = False
            if lane is not self._read_lane:
                await lane.lane.close()

    async def _drop_read_lane(self, lane: ReadLane) -> None:
        if self._read_lane is lane:
            self._read_lane = None
        await lane.lane.close()

    async def fetch(self, sql: str, parameters: Parameters = {}) -> list[Row]:
        """Run one statement on its own; once more if the connection turns out to be lost."""
        try:
            return await self._fetch(sql, parameters)
        except StoreUnavailable:
            await (await self.pool()).check()
        return await self._fetch(sql, parameters)

    async def _fetch(self, sql: str, parameters: Parameters) -> list[Row]:
        async with _Borrowed(self) as raw:
            return await AsyncPostgresConnection(raw).fetch(sql, parameters)

    async def _within(self, operation: Operation[T], begin: str) -> T:
        async with _Borrowed(self) as raw:
            connection = AsyncPostgresConnection(raw)
            await connection.fetch(begin)
            try:
                result = await operation(connection)
            except BaseException:
                await _rollback(raw)
                raise
            try:
                await connection.fetch("COMMIT")
            except StoreUnavailable as error:
                raise CommitUnknown((), error.cause) from error
            return result

    async def notifications(self) -> AsyncIterator[None]:
        """Yields on each NOTIFY of the store, and after each reconnect."""
        while not self._closed:
            lane = None
            try:
                lane = Lane(await self._connect())
                log = await lane.execute("SELECT 'goldseam_events'::regclass::oid::text", ())
                number = int(log.get_value(0, 0) or b"0")
                await lane.execute(f"LISTEN goldseam_{number}", ())
                while not lane.lost:
                    yield None
                    await lane.news.wait()
                    lane.news.clear()
            except (psycopg.Error, StoreUnavailable):
                pass
            finally:
                if lane is not None:
                    await lane.close()
            signals.count("goldseam_follower_reconnects_total")
            await asyncio.sleep(RECONNECT_PAUSE_SECONDS)

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        await self._drop_lane()
        if self._read_lane is not None:
            await self._drop_read_lane(self._read_lane)
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        try:
            raw = await psycopg.AsyncConnection.connect(self._conninfo, **self._options)
        except psycopg.Error as error:
            raise StoreUnavailable(str(error).strip().split("\n", 1)[0]) from error
        return raw

    async def pool(self) -> AsyncConnectionPool[Any]:
        """The pool, opened when first used."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._pool is None:
            # A server that is not there is said at once, not after the pool's patience.
            await (await self._connect()).close()
            self._pool = AsyncConnectionPool(
                self._conninfo,
                kwargs=self._options,
                min_size=1,
                max_size=POOL_SIZE_MAX,
                timeout=POOL_WAIT_SECONDS,
                reconnect_timeout=2,
                open=False,
            )
            await self._pool.open()
        return self._pool


class _Borrowed:
    """A pooled connection; a failure to get one says that nothing was done."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def __aenter__(self) -> psycopg.AsyncConnection[Any]:
        self._pool = await self._database.pool()
        try:
            self._raw = cast(psycopg.AsyncConnection[Any], await self._pool.getconn())
        except (PoolTimeout, psycopg.Error) as error:
            raise StoreUnavailable(str(error)) from error
        return self._raw

    async def __aexit__(self, *_: object) -> None:
        await self._pool.putconn(self._raw)


async def _rollback(raw: psycopg.AsyncConnection[Any]) -> None:
    try:
        await raw.execute("ROLLBACK")
    except psycopg.Error:
        await raw.close()


def open_database(url: str) -> PostgresDatabase:
    """Open ``postgresql://user@host/database``, optionally with ``?schema=name``.

    Raises:
        InvalidName: the URL is not understood.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    schema = options.pop("schema", None)
    rest = urlunsplit(("postgresql", *parts[1:3], urlencode(options), ""))
    try:
        psycopg.conninfo.conninfo_to_dict(rest)
    except psycopg.Error as error:
        raise InvalidName("PostgreSQL URL", _without_password(url), str(error).strip()) from None
    return PostgresDatabase(url, rest, schema)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
