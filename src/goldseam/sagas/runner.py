"""Runs the steps of open sagas, each saga by itself: none waits for another.

Who starts again after a crash finds every open saga in the index, its state in its own stream,
and calls the step that was under way once more, with the same idempotency key. From the guide,
"Saga State: Restore from checkpoint".
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from goldseam.database.connection import Database
from goldseam.database.statements import statements
from goldseam.errors import CommitUnknown, Fenced, InvalidInput, StoreUnavailable
from goldseam.leadership.fencing import Fence
from goldseam.privacy.errors import SubjectForgotten
from goldseam.resilience.clock import MICROSECONDS_PER_SECOND, Clock
from goldseam.resilience.pause import Pause, jittered_pause
from goldseam.sagas.deadlines import Deadlines
from goldseam.sagas.desk import Instance, Sagas
from goldseam.sagas.due import DueTimes
from goldseam.sagas.errors import StepRefused, UnknownDefinition
from goldseam.sagas.happenings import Failed, Happened, Refused, Succeeded, TimePassed
from goldseam.sagas.index import slot_of
from goldseam.sagas.listing import PACKAGE
from goldseam.sagas.ownership import LEASE_SECONDS, Ownership
from goldseam.sagas.saga import Action, Call
from goldseam.sagas.state import SagaState
from goldseam.sagas.transitions import call_of, doing, failure_text
from goldseam.telemetry.signals import signals

IN_FLIGHT_MAX = 512
"""How many sagas of one process may be at a step at once."""

POLL_SECONDS = 0.5
"""How often the index is asked for sagas that another process has moved."""

HORIZON_SECONDS = 5.0
"""Timers so far ahead are taken into memory."""

POLL_ROWS = 2_000
REMEMBERED_MAX = 50_000
TRY_AGAIN_SECONDS = 1.0
TRY_AGAIN_SECONDS_MAX = 60.0

_TRY_AGAIN = (StoreUnavailable, CommitUnknown)
_log = logging.getLogger("goldseam.sagas")


class SagaRunner:
    """One process's share of the sagas.

    Args:
        index: the database in which the index is.
        holder: names this process; two processes must not share it.
        shards: into how many parts the sagas are divided among processes; the same in all.
    """

    def __init__(
        self,
        desk: Sagas,
        index: Database,
        clock: Clock,
        *,
        holder: str,
        shards: int = 1,
        lease_seconds: float = LEASE_SECONDS,
        in_flight_max: int = IN_FLIGHT_MAX,
        pause: Pause = jittered_pause,
    ) -> None:
        self._desk, self._index, self._clock, self._pause = desk, index, clock, pause
        self.ownership = Ownership(
            desk.store.database, clock, holder=holder, shards=shards, lease_seconds=lease_seconds
        )
        self._due = DueTimes(clock)
        self._room = asyncio.Semaphore(in_flight_max)
        self._known: dict[str, Instance] = {}
        """Open sagas that this process has just changed: they need not be loaded again."""
        self._seen: dict[str, int] = {}
        """The version up to which this process has acted on a saga."""
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._due_at_work: set[str] = set()
        """Those whose time came before their last task was quite over."""
        self._stopping = asyncio.Event()
        self._deadlines = Deadlines()
        self._failures: dict[str, int] = {}
        self.failures: dict[str, str] = {}
        """Sagas that cannot go on for a reason of this program, and why."""
        desk.on_change = self.take

    def stop(self) -> None:
        """Finish the steps that are under way, then give the leases back."""
        self._stopping.set()
        self._due.wake()

    async def run(self) -> None:
        """Run its share until stopped."""
        self._stopping.clear()
        jobs = [
            asyncio.create_task(self.ownership.keep(self._stopping)),
            asyncio.create_task(self._keep_time()),
            asyncio.create_task(self._keep_looking()),
        ]
        try:
            await asyncio.gather(*jobs)
            await asyncio.gather(*self._at_work.values(), return_exceptions=True)
        finally:
            for one in (*jobs, *self._at_work.values()):
                one.cancel()
            await asyncio.gather(*jobs, *self._at_work.values(), return_exceptions=True)
            self._known.clear()
            self._seen.clear()
            await self._give_back()

    async def _give_back(self) -> None:
        try:
            await self.ownership.give_back()
        except _TRY_AGAIN:
            _log.warning("sagas: leases cannot be given back; they end by themselves")

    # ------------------------------------------------------------------ what is due

    def take(self, instance: Instance) -> None:
        """A saga was changed by this process: go on with it, if it is one of ours."""
        saga = instance.id
        if saga in self._at_work:
            self._known[saga] = instance  # whoever is at work on it looks there next
            return
        if self.ownership.fence_of(slot_of(saga)) is None:
            return  # the index will tell whoever has it, and that may be us a moment later
        self._remember(saga, instance.version)
        if instance.state.open:
            self._known[saga] = instance
            self._schedule(saga, instance.state)
        else:
            self._due.drop(saga)

    def _remember(self, saga: str, version: int) -> None:
        self._seen.pop(saga, None)
        self._seen[saga] = version
        if len(self._seen) > REMEMBERED_MAX:
            del self._seen[next(iter(self._seen))]

    def _schedule(self, saga: str, state: SagaState) -> None:
        if state.due_us > self._clock.now_us():
            self._due.put(saga, state.due_us)
        else:
            self._begin(saga)

    def _begin(self, saga: str) -> None:
        if saga in self._at_work:
            self._due_at_work.add(saga)
        elif not self._stopping.is_set():
            self._due.drop(saga)
            task = asyncio.create_task(self._work(saga))
            self._at_work[saga] = task
            task.add_done_callback(lambda _: self._worked(saga))

    def _worked(self, saga: str) -> None:
        self._at_work.pop(saga, None)
        left, due = self._known.get(saga), saga in self._due_at_work
        self._due_at_work.discard(saga)
        if left is not None:
            self._schedule(saga, left.state)
        elif due:
            self._begin(saga)

    async def _keep_time(self) -> None:
        while not self._stopping.is_set():
            for saga, due_us in self._due.pop():
                late = (self._clock.now_us() - due_us) / MICROSECONDS_PER_SECOND
                signals.gauge("goldseam_saga_timer_late_seconds", late)
                self._begin(saga)
            await self._due.sleep()

    async def _keep_looking(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._look()
            except _TRY_AGAIN as error:
                _log.warning("sagas: the index cannot be read: %s", type(error).__name__)
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._stopping.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        """Take up what is due soon and was moved by another process, or before a crash."""
        until_us = self._clock.now_us() + int(HORIZON_SECONDS * MICROSECONDS_PER_SECOND)
        sql = statements(PACKAGE, self._index.dialect)["due"]
        after_us, after = -1, ""
        while self.ownership.owns:
            row = {"until_us": until_us, "after_us": after_us, "after": after, "limit": POLL_ROWS}
            found = await self._index.fetch(sql, row)
            for saga, slot, due_us, version in found:
                after_us, after = due_us, saga
                if self.ownership.fence_of(slot) is not None and self._is_news(saga, version):
                    self._remember(saga, version)
                    self._known.pop(saga, None)
                    if due_us > self._clock.now_us():
                        self._due.put(saga, due_us)
                    else:
                        self._begin(saga)
            if len(found) < POLL_ROWS:
                return

    def _is_news(self, saga: str, version: int) -> bool:
        if saga in self._at_work or saga in self.failures:
            return False
        return version > self._seen.get(saga, -1)

    # ------------------------------------------------------------------ one saga

    async def _work(self, saga: str) -> None:
        async with self._room:
            try:
                await self._advance(saga)
            except Fenced:
                self.ownership.lose(slot_of(saga))
                self._known.pop(saga, None)
                self._seen.pop(saga, None)
            except UnknownDefinition as error:
                self._known.pop(saga, None)
                if self.failures.get(saga) is None:
                    _log.error("%s", error)
                self.failures[saga] = str(error)
                signals.gauge("goldseam_sagas_undefined", len(self.failures))
            except Exception as error:
                self._try_again_later(saga, error)
            else:
                self._failures.pop(saga, None)
                self.failures.pop(saga, None)

    def _try_again_later(self, saga: str, error: Exception) -> None:
        """One saga that cannot be moved waits by itself; nobody waits with it."""
        count = self._failures[saga] = self._failures.get(saga, 0) + 1
        seconds = min(TRY_AGAIN_SECONDS * 2 ** (count - 1), TRY_AGAIN_SECONDS_MAX)
        self._known.pop(saga, None)
        self._due.put(saga, self._clock.now_us() + int(seconds * MICROSECONDS_PER_SECOND))
        if not isinstance(error, _TRY_AGAIN):
            self.failures[saga] = type(error).__name__
        _log.error(
            "saga %s cannot be moved (%s), again in %s s", saga, type(error).__name__, seconds
        )

    async def _advance(self, saga: str) -> None:
        instance, slot = self._known.pop(saga, None) or await self._desk.load(saga), slot_of(saga)
        while True:
            told = self._known.pop(saga, None)  # by somebody else in this process, it may be
            if told is not None and told.version > instance.version:
                instance = told
            self._remember(saga, instance.version)
            fence = self.ownership.fence_of(slot)
            if not instance.state.open or self._stopping.is_set():
                return
            if fence is None:
                self._seen.pop(saga, None)
                return
            if instance.state.due_us > self._clock.now_us():
                self._due.put(saga, instance.state.due_us)
                return
            instance = await self._move(instance, fence)

    async def _move(self, instance: Instance, fence: Fence) -> Instance:
        name, action = doing(instance.saga, instance.state)
        if instance.state.asked or action.asks:
            return await self._write(instance, TimePassed(), fence)
        happened = await self._call(instance, name, action)
        if isinstance(happened, Failed | Refused):
            signals.count("goldseam_saga_step_failures_total", saga=instance.saga.name)
        try:
            return await self._write(instance, happened, fence)
        except (InvalidInput, SubjectForgotten) as error:  # a result that cannot be kept is none
            undoing = instance.state.status == "compensating"
            text = failure_text(error, instance.state)
            failed = Failed(name, text, undoing, instance.state.attempt + 1)
            return await self._write(instance, failed, fence)

    async def _call(self, instance: Instance, name: str, action: Action) -> Happened:
        state, undoing = instance.state, instance.state.status == "compensating"
        call = call_of(instance.saga, instance.id, state, instance.metadata)
        try:
            result = await self._in_time(instance, action, call)
        except StepRefused as error:
            return Refused(name, error.reason, undoing)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _this_task().cancelling():
                raise  # it is not something inside of the step that was cancelled
            text = failure_text(error, state)
            if isinstance(error, action.refused):
                return Refused(name, text, undoing)
            return Failed(name, text, undoing, call.attempt)
        return Succeeded(name, result, self._desk.is_event(result), undoing)

    async def _in_time(self, instance: Instance, action: Action, call: Call) -> Any:
        """What the step gives.

        Raises:
            TimeoutError: it took too long, and was cancelled.
        """
        task, seconds, late = _this_task(), action.timeout_seconds, False
        self._deadlines.begin(task, seconds)
        try:
            return await action.method(instance.saga, instance.state.data, call)
        except asyncio.CancelledError:
            late = self._deadlines.end(task, seconds)
            if not late or task.cancelling():
                raise
            raise TimeoutError from None
        finally:
            if not late:
                self._deadlines.end(task, seconds)

    async def _write(self, instance: Instance, happened: Happened, fence: Fence) -> Instance:
        """Write what has happened, however long the store is away: it has happened."""
        attempt = 0
        while True:
            try:
                return await self._desk.change(instance, happened, fence=fence)
            except _TRY_AGAIN:
                attempt += 1
                if self._stopping.is_set():
                    raise
                await self._pause(attempt)
                instance = await self._reloaded(instance)

    async def _reloaded(self, instance: Instance) -> Instance:
        try:
            return await self._desk.load(instance.id)
        except _TRY_AGAIN:
            return instance


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
