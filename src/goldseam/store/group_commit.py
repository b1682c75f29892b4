"""Group commit: what waits together is sent together, in one transaction, and answered apart.

A conflict in one append refuses that append alone. A caller who gives up leaves the others
alone. A commit whose answer was lost is sent again: the event ids make that safe.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from goldseam.errors import CommitUnknown, GoldseamError, StoreFull, StoreUnavailable
from goldseam.resilience.clock import Clock
from goldseam.store.batch import Append, Verdict, unknown
from goldseam.store.connection import LogDatabase
from goldseam.telemetry.signals import signals

BATCH_APPENDS_MAX = 256
"""Most appends in one transaction: keeps the lock short, and a failed batch cheap to repeat."""

BATCH_EVENTS_MAX = 10_000
"""Most events in one transaction, unless a single append alone has more."""

RETRY_SECONDS = 30.0
"""How long a commit without an answer, or an unreachable store, is tried again."""

RETRY_PAUSE_FIRST_SECONDS = 0.05
RETRY_PAUSE_MAX_SECONDS = 1.0


class _Waiting(NamedTuple):
    append: Append
    answer: asyncio.Future[Verdict]


class GroupCommit:
    """The queue in front of one database.

    Args:
        database: where the batches go.
        clock: for the retry deadline.
        committed: called with the highest new position after each commit.
        retry_seconds: how long an unreachable store is tried again before callers are told.
    """

    def __init__(
        self,
        database: LogDatabase,
        clock: Clock,
        committed: Callable[[int], None],
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._database, self._clock, self._committed = database, clock, committed
        self._retry_seconds = retry_seconds
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def append(self, append: Append) -> Verdict:
        """Store ``append`` together with whatever else waits.

        Raises:
            StoreUnavailable: it was not stored within the retry time.
            CommitUnknown: the answer was lost and could not be found out in that time.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="goldseam-group-commit")
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(append, answer))
        self._wake.set()
        return await answer

    async def close(self) -> None:
        """Commit what is queued, then stop."""
        self._closed = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while True:
                while not self._queue:
                    if self._closed:
                        return
                    self._wake.clear()
                    await self._wake.wait()
                await self._commit(self._next_batch())
        finally:
            self._closed = True
            for waiting in self._queue:  # the event loop is ending: nobody will commit these
                _tell(waiting, StoreUnavailable("the program is ending"))

    def _next_batch(self) -> list[_Waiting]:
        """The longest run of the queue that one transaction can judge.

        A stream or a key appears once in a batch: its second append waits for the next one, and
        holds back nothing behind it but its own streams. Appends under one fence share a batch
        when they have the same token: then they are all refused, or none is.
        """
        batch: list[_Waiting] = []
        held_back: deque[_Waiting] = deque()
        taken: set[tuple[str, str]] = set()
        tokens: dict[tuple[str, str], int] = {}
        events = 0
        while self._queue and len(batch) < BATCH_APPENDS_MAX:
            waiting = self._queue.popleft()
            if waiting.answer.done():
                continue
            claims = _claims(waiting.append)
            too_many = batch and events + waiting.append.size > BATCH_EVENTS_MAX
            if too_many or not taken.isdisjoint(claims) or _token_differs(waiting.append, tokens):
                held_back.append(waiting)
            else:
                batch.append(waiting)
                events += waiting.append.size
            taken |= claims
        self._queue.extendleft(reversed(held_back))
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        try:
            verdicts = await self._until_answered(batch)
        except asyncio.CancelledError:
            for waiting in batch:
                _tell(waiting, unknown(waiting.append, "the program is ending"))
            raise
        except Exception as error:
            await self._apart(batch, error)
            return
        signals.count("goldseam_append_batches_total")
        last = 0
        for waiting, verdict in zip(batch, verdicts, strict=True):
            _count(verdict, waiting.append)
            if verdict.outcome == "committed":
                last = max(last, verdict.last_position)
            if not waiting.answer.done():
                waiting.answer.set_result(verdict)
        if last:
            self._committed(last)

    async def _apart(self, batch: list[_Waiting], error: Exception) -> None:
        """A batch that fails as a whole is sent one by one, so each caller gets its own answer."""
        if len(batch) > 1 and not isinstance(error, StoreUnavailable | CommitUnknown):
            for waiting in batch:
                await self._commit([waiting])
            return
        for waiting in batch:
            _tell(waiting, _own_error(waiting.append, error))

    async def _until_answered(self, batch: list[_Waiting]) -> list[Verdict]:
        """Send ``batch``; while nobody answers, send it again with the same event ids."""
        deadline = self._clock.monotonic() + self._retry_seconds
        pause, maybe_stored = RETRY_PAUSE_FIRST_SECONDS, None
        while True:
            try:
                return await self._database.append([waiting.append for waiting in batch])
            except (StoreUnavailable, CommitUnknown) as error:
                if isinstance(error, StoreFull):
                    signals.count("goldseam_store_full_total")
                    raise (maybe_stored or error) from error
                if isinstance(error, CommitUnknown):
                    signals.count("goldseam_commit_unknown_total")
                    maybe_stored = error
                signals.count("goldseam_store_unavailable_total")
                if not error.retry_safe or self._clock.monotonic() + pause > deadline:
                    raise (maybe_stored or error) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_PAUSE_MAX_SECONDS)


def _tell(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _claims(append: Append) -> set[tuple[str, str]]:
    claims = {(append.tenant, write.stream) for write in append.writes}
    if append.key is not None:
        claims.add((append.tenant, f"\0key {append.key}"))
    return claims


def _token_differs(append: Append, tokens: dict[tuple[str, str], int]) -> bool:
    """Whether another token of its fence is in the batch already; ``tokens`` are those."""
    fence = append.fence
    if fence is None:
        return False
    return tokens.setdefault((append.tenant, fence.name), fence.token) != fence.token


def _own_error(append: Append, error: Exception) -> Exception:
    """An error of the whole batch, told to one of its callers."""
    if isinstance(error, CommitUnknown):
        return unknown(append, error.cause)
    if isinstance(error, GoldseamError):
        copy = type(error).__new__(type(error), *error.args)
        copy.__dict__.update(error.__dict__)
        copy.args = error.args
        copy.__cause__ = error.__cause__
        return copy
    return error


def _count(verdict: Verdict, append: Append) -> None:
    match verdict.outcome:
        case "committed":
            signals.count("goldseam_events_appended_total", append.size)
        case "replayed":
            signals.count("goldseam_appends_replayed_total")
        case "conflict":
            signals.count("goldseam_append_conflicts_total")
        case "fenced":
            signals.count("goldseam_fenced_writes_total")
        case "mismatch":
            signals.count("goldseam_idempotency_mismatches_total")
