"""Write down the schemas of a program's classes: what the next evolution gate compares with."""

from __future__ import annotations

from goldseam.database.connection import Database
from goldseam.events.registry import Registry
from goldseam.governance.evolution_gate import schemas_of
from goldseam.resilience.clock import Clock
from goldseam.versioning.schema_registry import Registered, SchemaRegistry


async def register_all(
    database: Database, registry: Registry, clock: Clock
) -> list[tuple[str, int, Registered]]:
    """Register every class that has a schema; returns type, version and what the registry has.

    Raises:
        SchemaIncompatible: a class does not fit what is registered, and no upcaster leads to it.
    """
    schemas = SchemaRegistry(database, clock)
    await schemas.prepare()
    return [
        (name, version, await schemas.register_class(registry.by_name[name, version], registry))
        for name, version in sorted(schemas_of(registry))
    ]
