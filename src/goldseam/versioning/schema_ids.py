"""Schema ids that follow from the schema itself: the same in every store, region and restart.

A number that a registry gives is known to that registry alone. A GUID made of the schema's
fingerprint names the same schema wherever it is registered, so a topic that is mirrored to
another region needs no translation.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from goldseam.errors import InvalidName, SchemaError
from goldseam.events.registry import Past, Registry, Untyped
from goldseam.resilience.clock import Clock
from goldseam.versioning.errors import SchemaNotFound
from goldseam.versioning.json_schema import fingerprint, schema_of
from goldseam.versioning.schema_registry import SchemaRegistry

_NAMESPACE = UUID("6cf1a9a8-6a1f-5f0e-8a53-0b7a3c1d9e42")
"""Never changed: every id that was ever written to a topic rests on it."""

ABSENT_SECONDS = 5.0
"""How long it is remembered that nothing is registered for a type; an id never changes."""


def guid_of(mark: str) -> UUID:
    """The id of the schema with the fingerprint ``mark``."""
    return uuid5(_NAMESPACE, mark)


class SchemaGuids:
    """The ids that a relay writes beside events, from what is registered.

    Args:
        registry: the event classes; their ids are those of their schemas. Without one, as for
            the outbox table, the version of a type is taken as the version of its subject.
    """

    def __init__(
        self, schemas: SchemaRegistry, clock: Clock, registry: Registry | None = None
    ) -> None:
        self._schemas, self._clock, self._registry = schemas, clock, registry
        self._known: dict[tuple[str, int], tuple[bytes | None, float]] = {}

    async def guid(self, name: str, version: int) -> bytes | None:
        """Sixteen bytes, or None where nothing is registered: a wrong id is worse than none.

        Raises:
            StoreUnavailable: the registry's database does not answer, and it is not known here.
        """
        known = self._known.get((name, version))
        if known is not None and known[1] > self._clock.monotonic():
            return known[0]
        schema = await self._schema(name, version)
        guid = None if schema is None else guid_of(fingerprint(schema)).bytes
        until = self._clock.monotonic() + ABSENT_SECONDS if guid is None else float("inf")
        self._known[name, version] = guid, until
        return guid

    async def _schema(self, name: str, version: int) -> dict[str, Any] | None:
        try:
            if self._registry is None:
                return (await self._schemas.get(name, version)).schema
            kind = self._registry.by_name.get((name, version))
            if kind is None or kind.kind in (Past, Untyped):
                return None
            return (await self._schemas.lookup(name, schema_of(kind.kind))).schema
        except (SchemaNotFound, SchemaError, InvalidName):
            return None  # not registered, no tables for it yet, or a class that has no schema


async def schema_by_guid(schemas: SchemaRegistry, guid: UUID) -> int:
    """The number, in this registry, of the schema with the id ``guid``.

    Raises:
        SchemaNotFound: no schema that is registered here has this id.
    """
    for number, mark in await schemas.fingerprints():
        if guid_of(mark) == guid:
            return number
    raise SchemaNotFound("schema GUID", str(guid))
