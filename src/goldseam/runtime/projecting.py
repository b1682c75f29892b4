"""What a supervised projection needs beside its runner: rebuilds resumed, lag kept known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from goldseam.errors import GoldseamError, ProjectionError
from goldseam.healing.projecting import Reprojection
from goldseam.outbox.sources import source_of
from goldseam.outbox.topics import relay_topics
from goldseam.projections.hosted import HostedProjection
from goldseam.projections.projection import Projection
from goldseam.projections.source import Source, StoreSource
from goldseam.projections.topic_source import TopicSource
from goldseam.resilience.clock import Clock
from goldseam.runtime.river import River
from goldseam.runtime.supervisor import Supervisor
from goldseam.store.event_store import EventStore

REBUILD_LOOK_SECONDS = 2.0
"""How often to look for a rebuild that was begun and that nobody drives."""

CORRECTIONS_LOOK_SECONDS = 2.0
"""How often to look for corrections that are not in the rows yet."""

LAG_SECONDS = 1.0
"""How often the lag is measured."""

_log = logging.getLogger("goldseam.runtime")


async def source_for(
    projection: Projection, store: EventStore, river: River | None, relay: str, clock: Clock
) -> Source:
    """Where ``projection`` reads: the store, or the topics of ``relay`` where there is a river."""
    if river is None:
        return StoreSource(store, projection.category)

    async def topics() -> Sequence[str]:
        return await relay_topics(store.database, relay, clock)

    return TopicSource(
        store,
        await river.broker.admin(),
        clock,
        source=source_of(store),
        topics=topics,
        category=projection.category,
    )


def keep_rebuilding(
    hosted: HostedProjection, supervisor: Supervisor
) -> Callable[[], Coroutine[Any, Any, None]]:
    """A job that carries on rebuilds whose driver is gone: killed, or a command that only asked."""

    async def job() -> None:
        seen: tuple[int, int] | None = None
        while not supervisor.stopping.is_set():
            building = await hosted.building()
            if building is None:
                seen = None
            elif seen == (building.generation, building.position):
                await _until_stopped(hosted, supervisor)
                seen = None
            else:
                seen = building.generation, building.position
            await supervisor.rest(REBUILD_LOOK_SECONDS)

    return job


async def _until_stopped(hosted: HostedProjection, supervisor: Supervisor) -> None:
    """Rebuild, unless the application closes first: the next one goes on from there."""
    work = asyncio.ensure_future(hosted.rebuild())
    stop = asyncio.ensure_future(supervisor.stopping.wait())
    try:
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    except ProjectionError as refused:
        _log.warning("rebuild of %s: %s", hosted.name, refused)
        await supervisor.rest(REBUILD_LOOK_SECONDS * 5)
    finally:
        for one in (work, stop):
            one.cancel()
        await asyncio.gather(work, stop, return_exceptions=True)


def keep_lag_known(
    hosted: HostedProjection, supervisor: Supervisor
) -> Callable[[], Coroutine[Any, Any, None]]:
    """A job that measures the lag, whether or not the runner is well."""

    async def job() -> None:
        while not supervisor.stopping.is_set():
            try:
                await hosted.lag()
            except GoldseamError as error:
                _log.debug("lag of %s is unknown: %s", hosted.name, type(error).__name__)
            await supervisor.rest(LAG_SECONDS)

    return job


def keep_corrected(
    watch: Reprojection, hosted: HostedProjection, supervisor: Supervisor
) -> Callable[[], Coroutine[Any, Any, None]]:
    """A job that has rows projected again when a correction came that they do not know."""

    async def job() -> None:
        while not supervisor.stopping.is_set():
            if await watch.request():
                _log.info("projection %s is rebuilt: an event was corrected", hosted.name)
            await supervisor.rest(CORRECTIONS_LOOK_SECONDS)

    return job
