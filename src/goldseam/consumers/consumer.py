"""Declare a consumer: its topics, its mode, its tables, and what each kind of event does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from goldseam.consumers.connection import ConsumerConnection
from goldseam.consumers.errors import ConsumerError
from goldseam.consumers.handlers import Handler, handlers_of
from goldseam.consumers.modes import CONCURRENCY_MAX, AtLeastOnce, EffectivelyOnce, Mode, Watermark
from goldseam.consumers.tables import ConsumerTables
from goldseam.database.connection import Dialect
from goldseam.events.event import Recorded
from goldseam.events.names import DEFAULT_TENANT, checked_name
from goldseam.events.registry import Registry

NAME_LENGTH_MAX = 100
"""Longest name of a consumer: it is its group at the broker and a label of every metric."""


class Consumer:
    """Effects of events that come from a broker. Subclass it; see docs/howto/consumers.md.

    ``name``: stable, it is the consumer group. ``topics``: what it reads. ``mode``: what it is
    promised. ``tables``: ``CREATE TABLE {name} (...)``, one text or one for each dialect, made
    when they are missing. ``types``: the classes that :meth:`apply_batch` wants; all those with
    a handler unless said.

    Handlers get ``(event, db)``. Effectively-once, ``db`` is the transaction of the batch and a
    handler awaits nothing else. In the other modes each statement commits by itself, and a
    handler may await whatever it likes.
    """

    name: ClassVar[str]
    topics: ClassVar[Sequence[str]] = ()
    mode: ClassVar[Mode] = EffectivelyOnce()
    tables: ClassVar[str | Mapping[Dialect, str]] = ""
    types: ClassVar[tuple[type, ...]] = ()
    wanted: frozenset[type]
    """The classes it handles; empty means all."""
    _handlers: ClassVar[Mapping[type, Handler]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._handlers = handlers_of(cls, cls._handlers)

    def __init__(self) -> None:
        if not isinstance(getattr(self, "name", None), str):
            raise ConsumerError(f"{type(self).__name__} needs a name: name = 'billing'")
        checked_name("consumer", self.name, NAME_LENGTH_MAX)
        if isinstance(self.topics, str) or not self.topics:
            raise ConsumerError(f"consumer {self.name!r} reads nothing; topics = ('orders',)")
        if not self._handlers and type(self).apply_batch is Consumer.apply_batch:
            raise ConsumerError(
                f"consumer {self.name!r} handles nothing; mark a method with @handles(Event) "
                "or override apply_batch"
            )
        self._check_mode()
        self.wanted = frozenset(self.types or self._handlers)

    def _check_mode(self) -> None:
        mode = self.mode
        if isinstance(mode, AtLeastOnce) and not 1 <= mode.concurrency <= CONCURRENCY_MAX:
            raise ConsumerError(
                f"consumer {self.name!r}: concurrency {mode.concurrency} is not 1 to "
                f"{CONCURRENCY_MAX}"
            )
        own_sequence = type(self).sequence_of is not Consumer.sequence_of
        if isinstance(mode, EffectivelyOnce) and isinstance(mode.dedup, Watermark) and own_sequence:
            raise ConsumerError(
                f"consumer {self.name!r}: a watermark counts streams, so its sequences are the "
                "streams; take sequence_of away or use DedupTable()"
            )

    def sequence_of(self, event: Recorded[Any]) -> str:
        """What stops when ``event`` cannot be applied: its stream, unless overridden.

        Later events of the same sequence wait behind it in order; all others go on. Every event
        of a sequence must have the same key on the topic.
        """
        tenant = event.tenant
        return event.stream if tenant == DEFAULT_TENANT else f"{tenant}/{event.stream}"

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ConsumerConnection) -> None:
        """Apply ``events`` in order; override it to write many rows at once."""
        handlers = self._handlers
        for event in events:
            handler = handlers.get(type(event.data))
            if handler is not None:
                await handler(self, event, db)

    def names_in(self, registry: Registry) -> frozenset[str]:
        """The stored names of the classes it handles."""
        return frozenset(one.name for one in registry if one.kind in self.wanted)

    def tables_for(self, dialect: Dialect) -> ConsumerTables:
        """The declared tables in ``dialect``."""
        return ConsumerTables(self.name, self.tables, dialect)
