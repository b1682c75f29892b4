"""Declare a projection: its tables, and what each kind of event does to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from goldseam.consumers.handlers import Handler, handlers_of
from goldseam.database.connection import Dialect
from goldseam.errors import ProjectionError
from goldseam.events.event import Recorded
from goldseam.events.names import checked_name
from goldseam.events.registry import Registry
from goldseam.projections.connection import ProjectionConnection
from goldseam.projections.tables import Tables

NAME_LENGTH_MAX = 100
"""Longest name of a projection: it is a label of every metric."""


class Projection:
    """Rows built from events. Subclass it; see docs/howto/projections.md.

    ``name``: stable, it is the key of the checkpoint. ``version``: raise it when the tables or
    what the handlers write to them change; the next rebuild makes the new rows beside the old.
    ``tables``: ``CREATE TABLE {name} (...)``, one text or one for each dialect. ``category``:
    follow only streams of this category. ``types``: the classes that :meth:`apply_batch` wants;
    all those with a handler unless said. ``raw``: show what was recorded, not what was corrected.
    ``linger_seconds``: wait so long after news for more of it, where batches save more than
    freshness is worth.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    tables: ClassVar[str | Mapping[Dialect, str]] = ""
    category: ClassVar[str | None] = None
    types: ClassVar[tuple[type, ...]] = ()
    raw: ClassVar[bool] = False
    linger_seconds: ClassVar[float] = 0.0
    wanted: frozenset[type]
    """The classes it applies; empty means all."""
    _handlers: ClassVar[Mapping[type, Handler]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._handlers = handlers_of(cls, cls._handlers)

    def __init__(self) -> None:
        if not isinstance(getattr(self, "name", None), str):
            raise ProjectionError(f"{type(self).__name__} needs a name: name = 'balances'")
        checked_name("projection", self.name, NAME_LENGTH_MAX)
        if self.version < 1:
            raise ProjectionError(f"projection {self.name!r}: version must be 1 or more")
        if not self._handlers and type(self).apply_batch is Projection.apply_batch:
            raise ProjectionError(
                f"projection {self.name!r} handles nothing; mark a method with @handles(Event) "
                "or override apply_batch"
            )
        self.wanted = frozenset(self.types or self._handlers)

    def sequence_of(self, event: Recorded[Any]) -> str:
        """What stops when ``event`` cannot be applied: its stream, unless overridden.

        Later events of the same sequence wait behind it in order; all others go on.
        """
        return event.stream

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ProjectionConnection) -> None:
        """Apply ``events`` in order; override it to write many rows at once."""
        handlers = self._handlers
        for event in events:
            handler = handlers.get(type(event.data))
            if handler is not None:
                await handler(self, event, db)

    def names_in(self, registry: Registry) -> frozenset[str]:
        """The stored names of the classes it applies."""
        return frozenset(one.name for one in registry if one.kind in self.wanted)

    def tables_for(self, dialect: Dialect) -> Tables:
        """The declared tables in ``dialect``."""
        return Tables(self.name, self.tables, dialect)
