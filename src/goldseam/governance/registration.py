"""Write down the schemas of a program's classes: what the next evolution gate compares with."""

from __future__ import annotations

from typing import Any

from goldseam.database.connection import Connection, Database
from goldseam.database.statements import statements
from goldseam.events.registry import Registry
from goldseam.governance.evolution_gate import schemas_of
from goldseam.resilience.clock import Clock
from goldseam.versioning.json_schema import canonical, fingerprint
from goldseam.versioning.schema_registry import PACKAGE, Registered, SchemaRegistry


async def register_all(
    database: Database, registry: Registry, clock: Clock
) -> list[tuple[str, int, Registered]]:
    """Register every class under its type; returns type, version and what the registry has.

    A version that an upcaster leads to need not fit the earlier ones: the upcaster reads them.
    It is registered all the same, or a server that knows no classes would refuse its events.

    Raises:
        SchemaIncompatible: a class does not fit what is registered, and no upcaster leads to it.
    """
    schemas = SchemaRegistry(database, clock)
    await schemas.prepare()
    found = []
    for (name, version), schema in sorted(schemas_of(registry).items()):
        if (name, version - 1) in registry.upcasters:
            await _add(database, name, schema, clock.now_us())
            one = await schemas.lookup(name, schema)
        else:
            one = await schemas.register(name, schema)
        found.append((name, version, one))
    return found


async def _add(database: Database, subject: str, schema: dict[str, Any], now_us: int) -> None:
    """The next version of ``subject``, not judged; the same schema only once."""
    mark, body = fingerprint(schema), canonical(schema).decode()

    async def operation(connection: Connection) -> None:
        sql = statements(PACKAGE, connection.dialect)
        await connection.fetch(sql["lock"])
        rows = await connection.fetch(sql["versions_of"], {"subject": subject})
        same = [row[0] for row in rows if row[5] == mark]
        if same:
            await connection.fetch(sql["undelete"], {"subject": subject, "version": same[0]})
            return
        new = {"fingerprint": mark, "schema_type": "JSON", "body": body}
        await connection.fetch(sql["add_schema"], new)
        ((schema_id,),) = await connection.fetch(
            sql["schema_by_fingerprint"], {"fingerprint": mark}
        )
        version = max((int(row[0]) for row in rows), default=0) + 1
        added = {"subject": subject, "version": version, "schema_id": schema_id, "now": now_us}
        await connection.fetch(sql["add_version"], added)

    await database.transact(operation)
