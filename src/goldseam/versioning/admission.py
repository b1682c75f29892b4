"""Events without a class must fit a registered schema of their type, or are not written.

Typed events are checked by their own class; what comes over HTTP to a server that knows no
classes is checked here, against what the programs that do know them have registered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from goldseam.errors import SchemaError
from goldseam.events.event import NewEvent
from goldseam.events.names import checked_name
from goldseam.events.registry import Untyped
from goldseam.resilience.clock import Clock
from goldseam.telemetry.signals import signals
from goldseam.versioning.errors import SchemaNotFound, SchemaRejected
from goldseam.versioning.fitting import misfit
from goldseam.versioning.schema_registry import SchemaRegistry

KNOWN_SECONDS = 5.0
"""How long it is remembered what is registered for a type, or that nothing is."""

KNOWN_MAX = 10_000


class Admission:
    """Looks at untyped events before they are appended."""

    def __init__(self, schemas: SchemaRegistry, clock: Clock) -> None:
        self._schemas, self._clock = schemas, clock
        self._known: dict[str, tuple[float, list[dict[str, Any]]]] = {}

    async def admit(self, events: Iterable[object]) -> None:
        """Let ``events`` pass, or say what is wrong with one.

        Raises:
            InvalidName: its type has a name that cannot be stored.
            SchemaRejected: it fits no registered schema of its type; nothing was written.
            MissingExtra: schemas are registered, and the library that reads them is missing.
        """
        for event in events:
            data = event.data if type(event) is NewEvent else event
            if isinstance(data, Untyped):
                schemas = await self._of(data.name)
                if schemas:
                    _refuse_misfit(data, schemas)

    async def _of(self, name: str) -> list[dict[str, Any]]:
        """All registered schemas of the event type ``name``, oldest first."""
        checked_name("event type", name)
        now = self._clock.monotonic()
        known = self._known.get(name)
        if known is not None and known[0] > now:
            return known[1]
        try:
            found = [one.schema for one in await self._schemas.versions(name)]
        except (SchemaNotFound, SchemaError):  # the second: nobody ever registered any
            found = []
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[name] = now + KNOWN_SECONDS, found
        return found


def _refuse_misfit(event: Untyped, schemas: list[dict[str, Any]]) -> None:
    found = misfit(event.fields(), schemas)
    if found is not None:
        signals.count("goldseam_schema_rejections_total")
        raise SchemaRejected(event.name, event.version, found.path, found.rule)
