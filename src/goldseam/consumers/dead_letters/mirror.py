"""Copies letters to ``<topic>-dlq``, so that every other tool sees them; at least once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from goldseam.broker.errors import BrokerUnreachable, RecordRefused
from goldseam.broker.port import Broker, Publisher, Topic
from goldseam.consumers.dead_letters.headers import SUFFIX, mirrored
from goldseam.consumers.dead_letters.letter import Letter, letter_from
from goldseam.consumers.dead_letters.store import counts, sql
from goldseam.database.connection import Connection, Database
from goldseam.errors import CommitUnknown, StoreUnavailable
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock
from goldseam.telemetry.signals import signals

LETTERS_AT_ONCE = 100
LOOK_SECONDS = 1.0

KEEP_RESOLVED_SECONDS = 30 * 86_400.0
"""How long a letter that was applied or discarded can still be looked at."""

PRUNE_SECONDS = 3_600.0

TOPIC_BYTES_MAX = 1024 * 1024 * 1024
"""Bytes kept for each partition of a mirror: its bound, as age is none.

Mirrored records keep their time, and a topic that drops by age would drop old ones at once.
"""

MIRRORED, REFUSED = 1, 2

_KEPT = ("min.insync.replicas", "unclean.leader.election.enable", "max.message.bytes")
_log = logging.getLogger("goldseam.consumers")


class Mirror:
    """Mirrors the letters of one consumer, shows how many wait, forgets those settled long ago.

    The consumer's database is the truth: a letter is marked when the broker has acknowledged
    its copy, so a crash between the two sends it again, with the same headers.
    """

    def __init__(
        self,
        consumer: str,
        database: Database,
        broker: Broker,
        clock: Clock,
        *,
        suffix: str = SUFFIX,
    ) -> None:
        self._consumer, self._database, self._broker = consumer, database, broker
        self._clock, self._suffix = clock, suffix
        self._known: set[str] = set()
        self._publisher: Publisher | None = None
        self._stopping = asyncio.Event()
        self._pruned_at = clock.monotonic()

    def stop(self) -> None:
        """End after the batch that is being sent."""
        self._stopping.set()

    async def run(self) -> None:
        """Mirror until stopped; outages are waited for."""
        try:
            while not self._stopping.is_set():
                await self._pass()
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._stopping.wait()
                except TimeoutError:
                    pass
        finally:
            await self.close()

    async def _pass(self) -> None:
        try:
            while await self.once() and not self._stopping.is_set():
                pass
            _, waiting, _ = await self._database.read(lambda c: counts(c, self._consumer))
            signals.gauge("goldseam_dead_letters", waiting, consumer=self._consumer)
            if self._clock.monotonic() - self._pruned_at >= PRUNE_SECONDS:
                self._pruned_at = self._clock.monotonic()
                await self.prune()
        except (BrokerUnreachable, StoreUnavailable, CommitUnknown) as error:
            kind = type(error).__name__
            _log.warning("dead letters of %s are not mirrored: %s", self._consumer, kind)

    async def once(self) -> int:
        """Mirror one batch; how many letters that were.

        Raises:
            BrokerUnreachable, StoreUnavailable: nothing is lost, try again.
        """
        letters = await self._database.read(self._waiting)
        if not letters:
            return 0
        await self._make_topics({one.topic for one in letters})
        refused = await self._send(letters)
        await self._database.transact(lambda c: self._mark(c, letters, refused))
        return len(letters)

    async def prune(self) -> int:
        """Forget a batch of letters that were settled long ago; how many."""
        before_us = self._clock.now_us() - int(KEEP_RESOLVED_SECONDS * MICROSECONDS_PER_SECOND)
        named = {"consumer": self._consumer, "before_us": before_us, "limit": LETTERS_AT_ONCE}

        async def operation(connection: Connection) -> int:
            gone = await connection.fetch(sql(connection, "prune_letters"), named)
            await connection.fetch(sql(connection, "prune_history"))
            return len(gone)

        return await self._database.transact(operation)

    async def close(self) -> None:
        """Give back the publisher."""
        if self._publisher is not None:
            publisher, self._publisher = self._publisher, None
            await publisher.close()

    async def _send(self, letters: Sequence[Letter]) -> set[int]:
        """Publish; the ids of those that the broker will never take."""
        if self._publisher is None:
            self._publisher = await self._broker.publisher(f"{self._consumer}-dlq")
        records = [mirrored(one, self._suffix) for one in letters]
        try:
            await self._publisher.publish(records)
        except RecordRefused:
            pass
        else:
            return set()
        refused = set()
        for letter, record in zip(letters, records, strict=True):
            try:
                await self._publisher.publish([record])
            except RecordRefused:
                refused.add(letter.id)
                _log.error(
                    "the broker refuses dead letter %d of %s; it is kept in the database only",
                    letter.id, self._consumer,
                )  # fmt: skip
        return refused

    async def _waiting(self, connection: Connection) -> list[Letter]:
        named = {"consumer": self._consumer, "limit": LETTERS_AT_ONCE}
        rows = await connection.fetch(sql(connection, "unmirrored"), named)
        return [letter_from(row) for row in rows]

    async def _mark(
        self, connection: Connection, letters: Sequence[Letter], refused: set[int]
    ) -> None:
        """One that was parked anew meanwhile is mirrored again."""
        rows = [
            {
                "id": one.id,
                "mirrored": REFUSED if one.id in refused else MIRRORED,
                "first_failed_us": one.first_failed_us,
            }
            for one in letters
        ]
        await connection.execute_many(sql(connection, "set_mirrored"), rows)

    async def _make_topics(self, names: set[str]) -> None:
        """The mirror of a topic has its partitions and copies, and what it says of durability."""
        missing = sorted(names - self._known)
        if not missing:
            return
        admin = await self._broker.admin()
        try:
            topics = await admin.topics()
            for name in missing:
                model = topics.get(name)
                if model is not None and name + self._suffix not in topics:
                    await admin.create(_like(model, name + self._suffix))
                self._known.add(name)
        finally:
            await admin.close()


def _like(model: Topic, name: str) -> Topic:
    config = {key: value for key, value in model.config.items() if key in _KEPT}
    config |= {"retention.ms": "-1", "retention.bytes": str(TOPIC_BYTES_MAX)}
    return Topic(
        name=name, partitions=model.partitions, replication=model.replication, config=config
    )
