"""An application's sagas: their desk, their index, and this process's share of running them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

import msgspec

from goldseam.consumers.consumer import Consumer
from goldseam.database.connection import Database
from goldseam.errors import InvalidInput, StoreUnavailable
from goldseam.projections.hosted import HostedProjection
from goldseam.resilience.clock import Clock
from goldseam.runtime.supervisor import Supervisor
from goldseam.sagas.board import SagaBoard
from goldseam.sagas.choreography import Choreography, FlowConsumer, FlowProjection
from goldseam.sagas.desk import Sagas
from goldseam.sagas.flows import FlowList
from goldseam.sagas.index import SLOTS, SagaIndex
from goldseam.sagas.listing import SagaList
from goldseam.sagas.mailbox import SagaMailbox
from goldseam.sagas.ownership import LEASE_SECONDS
from goldseam.sagas.runner import SagaRunner
from goldseam.sagas.saga import Saga, by_version
from goldseam.sagas.state import OPEN
from goldseam.store.event_store import EventStore
from goldseam.telemetry.signals import signals

GROUP = "saga-answers"
COUNT_SECONDS = 2.0
"""How often open, parked and overdue sagas are counted."""

_log = logging.getLogger("goldseam.runtime")


class SagaPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The sagas that an application has.

    Args:
        definitions: one instance of every class, older versions that are still open included.
        answers: the topics on which services answer; empty where every step is a call.
        group: the consumer group that reads them; two services must not share it.
        shards: into how many parts the sagas are divided among processes; the same in all.
        lease_seconds: after how long the sagas of a dead process are run by another one.
    """

    definitions: tuple[Saga[Any], ...]
    answers: tuple[str, ...] = ()
    group: str = GROUP
    shards: int = 1
    lease_seconds: float = LEASE_SECONDS


def plan_of(given: Sequence[Saga[Any]] | SagaPlan) -> SagaPlan | None:
    """A plan from what the application was given; None: it has no sagas.

    Raises:
        InvalidInput: the shards are out of bounds, or answers are awaited and no topics named.
        SagaDefinitionError: two definitions have the same name and version.
    """
    plan = given if isinstance(given, SagaPlan) else SagaPlan(definitions=tuple(given))
    if not plan.definitions:
        return None
    if not 1 <= plan.shards <= SLOTS:
        raise InvalidInput(f"sagas: {plan.shards} shards are not 1 to {SLOTS}")
    by_version(plan.definitions)
    return plan


class SagaPart:
    """What of the sagas an application holds while it is open.

    Raises:
        InvalidInput: the application is not open.
    """

    def __init__(self, plan: SagaPlan) -> None:
        self.plan, self.index = plan, SagaIndex()
        self._desk: Sagas | None = None
        self._listing: SagaList | None = None
        self._runner: SagaRunner | None = None
        types = sorted({k for one in plan.definitions for k in one.answers()}, key=repr)
        self.mailbox = (
            SagaMailbox(plan.group, plan.answers, types, lambda: self.desk)
            if (types and plan.answers)
            else None
        )

    @property
    def desk(self) -> Sagas:
        """Start, tell and steer."""
        if self._desk is None:
            raise InvalidInput("the application is not open; use: async with Goldseam(...) as app")
        return self._desk

    @property
    def listing(self) -> SagaList:
        """Look."""
        if self._listing is None:
            raise InvalidInput("the application is not open; use: async with Goldseam(...) as app")
        return self._listing

    @property
    def failures(self) -> dict[str, str]:
        """Sagas that this program cannot move, and why."""
        found = {} if self._runner is None else self._runner.failures
        return {f"saga {name}": words for name, words in found.items()}

    def open(self, store: EventStore) -> None:
        """Bind to the open store."""
        self._desk = Sagas(store, self.plan.definitions)
        self._listing = SagaList(store.database, self._desk)

    def start(self, store: EventStore, clock: Clock, supervisor: Supervisor, holder: str) -> None:
        """Run this process's share."""
        self._runner = SagaRunner(
            self.desk,
            store.database,
            clock,
            holder=holder,
            shards=self.plan.shards,
            lease_seconds=self.plan.lease_seconds,
        )
        supervisor.start("sagas", self._runner.run)

    async def settled(self) -> bool:
        """Whether no saga has anything to do or to wait for; the index must be caught up."""
        found = await self.listing.counts()
        return not any(status in OPEN for _, _, status, _ in found)

    def stop(self) -> None:
        """Finish the steps that are under way."""
        if self._runner is not None:
            self._runner.stop()

    def close(self) -> None:
        """Let go of the store."""
        self._desk = self._listing = self._runner = None


def board_of(
    part: SagaPart | None,
    store: EventStore,
    consumers: Sequence[Consumer],
    projections: Iterable[HostedProjection],
    target: Callable[[str], Database],
) -> SagaBoard:
    """Everything an application has of sagas: orchestrated ones, and flows that it follows."""
    followed: list[tuple[Choreography, Database]] = [
        (one.choreography, target(one.name)) for one in consumers if isinstance(one, FlowConsumer)
    ]
    hosted = ((one.projection, one.database) for one in projections)
    followed += [(one.choreography, db) for one, db in hosted if isinstance(one, FlowProjection)]
    flows = [FlowList(one, where, store.registry, store.clock) for one, where in followed]
    desk, listing = (None, None) if part is None else (part.desk, part.listing)
    return SagaBoard(desk, listing, flows)


def keep_counted(
    board: SagaBoard, supervisor: Supervisor
) -> Callable[[], Coroutine[Any, Any, None]]:
    """A job that keeps the gauges of open, parked and overdue sagas true."""

    async def job() -> None:
        while not supervisor.stopping.is_set():
            try:
                await count(board)
            except StoreUnavailable:
                _log.debug("sagas cannot be counted: the store is away")
            await supervisor.rest(COUNT_SECONDS)

    return job


async def count(board: SagaBoard) -> None:
    """Count what is open, parked, overdue, once."""
    totals = {name: {"open": 0, "parked": 0} for name, _, _ in board.definitions}
    for definition, _, status, number in await board.counts():
        total = totals.setdefault(definition, {"open": 0, "parked": 0})
        key = "open" if status in OPEN else status
        total[key] = total.get(key, 0) + number
    for definition, total in totals.items():
        signals.gauge("goldseam_sagas_open", total["open"], saga=definition)
        signals.gauge("goldseam_sagas_parked", total["parked"], saga=definition)
    await board.overdue()
