"""Keep the live colour of a projection up to date: read ahead, apply, wait for news."""

from __future__ import annotations

import asyncio
import logging

from goldseam.projections.advances import Advances
from goldseam.projections.applier import Applier, pause
from goldseam.projections.checkpoint import (
    Checkpoint,
    Superseded,
    live_of,
    load,
    trusted,
)
from goldseam.projections.source import Alarm, Page, Source

PAGE_EVENTS = 500
"""Events of one transaction while following; a reader waits for a whole page."""

POLL_SECONDS = 0.5
"""How often an idle runner looks whether it was steered from another process."""

STANDBY_SECONDS = 1.0
"""How long a runner that lost against another one of the same projection stays back."""

RESTART_PAUSE_SECONDS = 0.1
RESTART_PAUSE_SECONDS_MAX = 5.0

_log = logging.getLogger("goldseam.projections")


class Runner:
    """Follows a source with one projection until it is told to stop.

    Several runners of one projection may be started, in one or many processes: the checkpoint
    lets one of them move on, the others stand by.
    """

    def __init__(
        self,
        applier: Applier,
        source: Source,
        advances: Advances,
        *,
        page_events: int = PAGE_EVENTS,
    ) -> None:
        self._applier, self._source, self._advances = applier, source, advances
        self._page_events = page_events
        self._stopping = asyncio.Event()
        self._nudged = asyncio.Event()
        self.failure: str | None = None
        """Why it is not going on at the moment; None while all is well."""

    @property
    def name(self) -> str:
        """The projection's name."""
        return self._applier.projection.name

    def stop(self) -> None:
        """End after the page that is being applied."""
        self._stopping.set()
        self._nudged.set()

    def nudge(self) -> None:
        """It was steered: look now, not at the next poll."""
        self._nudged.set()

    async def run(self) -> None:
        """Follow until stopped; whatever fails is tried again, from the stored checkpoint."""
        failures = 0
        while not self._stopping.is_set():
            try:
                async with self._source.subscribe() as changed:
                    while not self._stopping.is_set():
                        await self.catch_up()
                        failures, self.failure = 0, None
                        await self._rest(changed)
            except Superseded:
                await self._sleep(pause(self._applier.clock, 1, STANDBY_SECONDS))
            except Exception as error:
                failures += 1
                self._say(error)
                wait = RESTART_PAUSE_SECONDS, RESTART_PAUSE_SECONDS_MAX
                await self._sleep(pause(self._applier.clock, failures, *wait))

    async def catch_up(self) -> Checkpoint:
        """Apply what there is and return; does nothing while paused or of another version.

        Raises:
            Superseded: another runner, or an operator, moved the checkpoint meanwhile.
            CorruptCheckpoint: the checkpoint cannot be trusted.
        """
        one = await self._load()
        if one.state != "running" or one.version != self._applier.projection.version:
            return one
        ahead = self._ask(one.position)
        try:
            while not self._stopping.is_set():
                page = await ahead
                if page.position <= one.position:
                    return one
                if page.last and self._lingers:
                    return await self._apply(one, page)
                ahead = self._ask(page.position)
                await asyncio.sleep(0)  # let the next page be asked for before this one is used
                one = await self._apply(one, page)
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
        return one

    @property
    def _lingers(self) -> float:
        return self._applier.projection.linger_seconds

    async def _apply(self, one: Checkpoint, page: Page) -> Checkpoint:
        began = self._applier.clock.monotonic()
        moved = await self._applier.apply(one, page)
        took = self._applier.clock.monotonic() - began
        self._advances.moved(self.name, len(page.events), took)
        return moved

    def _ask(self, after: int) -> asyncio.Future[Page]:
        return asyncio.ensure_future(self._source.page(after, self._page_events))

    async def _load(self) -> Checkpoint:
        found = await self._applier.database.read_one(lambda c: load(c, self.name))
        one = live_of(found, self.name)
        if one.position:
            trusted(one, self._source.identity, await self._source.head())
        return trusted(one, self._source.identity, one.position)

    async def _rest(self, changed: Alarm) -> None:
        """Until there is news, a nudge, or time to look again."""
        waits = [
            asyncio.ensure_future(changed.wait(POLL_SECONDS)),
            asyncio.ensure_future(self._nudged.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if self._lingers and not self._nudged.is_set():
            await self._sleep(self._lingers)
        if not self._stopping.is_set():
            self._nudged.clear()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            return
        if not self._stopping.is_set():
            self._nudged.clear()

    def _say(self, error: Exception) -> None:
        words = f"{type(error).__name__}: {error}"
        if words != self.failure:
            _log.warning("projection %s cannot go on: %s", self.name, type(error).__name__)
        self.failure = words
