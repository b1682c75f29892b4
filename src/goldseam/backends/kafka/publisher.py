"""A producer owned by one thread, fed from the event loop; in order, one answer a batch."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from goldseam.backends.kafka import errors
from goldseam.backends.kafka.config import for_producer
from goldseam.broker.errors import BrokerError, BrokerUnreachable
from goldseam.broker.port import Placed
from goldseam.broker.record import Record

POLL_SECONDS = 0.005
IDLE_SECONDS = 0.5
SERVE_EVERY = 1_000
"""Delivery reports are served after so many records, so that the queue stays short."""

IN_FLIGHT_MAX = 16
"""Batches that a relay may hand over before the first is acknowledged: the more the client has in
its queue, the larger the requests that it makes of it."""

CLOSE_SECONDS = 10.0
_NO_VALUE = -1


class _Batch:
    """One call of publish: what is missing until it can be answered."""

    __slots__ = ("error", "future", "left", "loop", "placed", "records")

    def __init__(self, records: Sequence[Record], loop: asyncio.AbstractEventLoop) -> None:
        self.records, self.loop = records, loop
        self.future: asyncio.Future[Sequence[Placed]] = loop.create_future()
        self.left = len(records)
        self.placed: list[Placed | None] = [None] * len(records)
        self.error: BrokerError | None = None

    def report(self, index: int, error: KafkaError | None, message: Message) -> None:
        """One record's delivery report; called in the owning thread."""
        if error is None:
            self.placed[index] = Placed(message.partition() or 0, message.offset() or 0)
        elif self.error is None or isinstance(self.error, BrokerUnreachable):
            self.error = errors.translated(error, f"sending to {message.topic()}")
        self.left -= 1

    def answer(self) -> None:
        """Tell whoever waits; they may have given up. Called in the event loop."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result([one for one in self.placed if one is not None])
        else:
            self.future.set_exception(self.error)


class KafkaPublisher:
    """See :class:`goldseam.broker.port.Publisher`.

    When a batch fails, what was queued behind it is failed too before anything else is sent, and
    so is what is handed over until the event loop has heard of it: the caller sends again in
    order, and nothing has overtaken.
    """

    in_flight_max = IN_FLIGHT_MAX

    def __init__(self, bootstrap: str, name: str, extra: Mapping[str, str]) -> None:
        self._settings = for_producer(bootstrap, name, extra)
        self._producer = Producer(self._settings)
        self._waiting: deque[_Batch] = deque()
        self._sent: deque[_Batch] = deque()
        self._news = threading.Event()
        self._gate = threading.Lock()
        self._unheard: set[_Batch] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=f"{name}-kafka", daemon=True)
        self._thread.start()

    async def publish(self, records: Sequence[Record]) -> Sequence[Placed]:
        """Send ``records``; return when every one is acknowledged, with their places."""
        if self._closed:
            raise BrokerUnreachable("this publisher is closed; open another one")
        if not records:
            return ()
        batch = _Batch(records, asyncio.get_running_loop())
        with self._gate:
            if self._unheard:
                raise BrokerUnreachable("what was sent before it has just failed")
            self._waiting.append(batch)
        self._news.set()
        try:
            return await batch.future
        finally:
            self._heard(batch)

    async def close(self) -> None:
        """Give what is on its way a last chance, then end the thread."""
        if self._closed:
            return
        self._closed = True
        self._news.set()
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    # ------------------------------------------------------------------ the owning thread

    def _serve(self) -> None:
        while not (self._closed and not self._waiting and not self._sent):
            try:
                self._turn()
            except Exception as error:  # whoever waits must be told, whatever it was
                words = f"the Kafka client failed: {type(error).__name__}: {error}"
                self._fail_everything(BrokerUnreachable(words))
        self._producer.flush(CLOSE_SECONDS)

    def _turn(self) -> None:
        if not self._waiting and not self._sent:
            self._news.wait(IDLE_SECONDS)
        self._news.clear()
        while self._waiting:
            self._send(self._waiting.popleft())
        self._producer.poll(POLL_SECONDS if self._sent else 0)
        self._answer_done()

    def _send(self, batch: _Batch) -> None:
        self._sent.append(batch)
        for index, record in enumerate(batch.records):
            if batch.error is not None:
                batch.left -= len(batch.records) - index  # nothing may overtake what failed
                return
            self._produce(batch, index, record)
            if index % SERVE_EVERY == SERVE_EVERY - 1:
                self._producer.poll(0)
                self._answer_done()

    def _produce(self, batch: _Batch, index: int, record: Record) -> None:
        def report(error: KafkaError | None, message: Message) -> None:
            batch.report(index, error, message)

        while True:
            try:
                self._producer.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    partition=_NO_VALUE if record.partition is None else record.partition,
                    on_delivery=report,
                    timestamp=record.timestamp_ms or 0,
                    headers=list(record.headers),
                )
            except BufferError:
                self._producer.poll(POLL_SECONDS)
                self._answer_done()
            except KafkaException as error:
                batch.error = errors.of(error, f"sending to {record.topic}")
                batch.left -= 1
                return
            else:
                return

    def _answer_done(self) -> None:
        """Answer batches in order; a failed one takes those behind it along."""
        while self._sent:
            first = self._sent[0]
            if first.error is not None:
                self._fail_everything(first.error)
                return
            if first.left:
                return
            first.loop.call_soon_threadsafe(self._sent.popleft().answer)

    def _fail_everything(self, error: BrokerError) -> None:
        self._producer.purge()
        self._producer.poll(0)
        with self._gate:
            failed = [*self._sent, *self._waiting]
            self._sent.clear()
            self._waiting.clear()
            self._unheard.update(failed)
        # A producer that has lost a record may be dead for good; a new one begins a new session.
        self._producer = Producer(self._settings)
        for batch in failed:
            if batch.error is None:
                batch.error = BrokerUnreachable(f"what was sent before it failed: {error}")
            batch.loop.call_soon_threadsafe(self._tell, batch)

    def _tell(self, batch: _Batch) -> None:
        if batch.future.done():  # cancelled: nobody will hear of it
            self._heard(batch)
        batch.answer()

    def _heard(self, batch: _Batch) -> None:
        with self._gate:
            self._unheard.discard(batch)
