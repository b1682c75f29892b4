"""The schema registry in the store: every version of every event type, and what may follow it.

From the guide, "Producer-Side Failures": what does not fit its schema is refused before it is
written. Subjects are the names of event types; the rules of versions, ids and levels are those of
Confluent's registry, so its clients work on it (see goldseam.http.schema_registry).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeVar, cast

import msgspec

from goldseam.database import schema as tables
from goldseam.database.connection import Connection, Database, Operation
from goldseam.database.statements import statements
from goldseam.errors import InvalidName, StoreUnavailable
from goldseam.events.registry import EventType, Registry
from goldseam.resilience.clock import Clock
from goldseam.telemetry.signals import signals
from goldseam.versioning.compatibility import LEVELS, Finding, Level, judge
from goldseam.versioning.errors import InvalidSchema, SchemaIncompatible, SchemaNotFound
from goldseam.versioning.json_schema import fingerprint, schema_of

T = TypeVar("T")

PACKAGE, PART = "goldseam.versioning", "schemas"

DEFAULT_LEVEL: Level = "BACKWARD"
"""New code reads old events. Transitive levels ask it of all versions: with upcasters in between
an older version is not read by the class itself, so the chain's check is the one that counts."""

SCHEMA_BYTES_MAX = 1_048_576
REMEMBERED_MAX = 10_000
"""Schemas kept in memory; they never change, so they serve on while the database is away."""

Mode = Literal["READWRITE", "READONLY", "IMPORT"]
MODES: tuple[Mode, ...] = ("READWRITE", "READONLY", "IMPORT")

_ALL_SUBJECTS = ""
_LATEST = "latest"


class Registered(NamedTuple):
    """One version of a subject."""

    subject: str
    version: int
    id: int
    schema_type: str
    schema: dict[str, Any]


class SchemaRegistry:
    """The registry of one store.

    Args:
        database: of the store; the registry's tables are made beside the log by :meth:`prepare`.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._by_id: OrderedDict[int, tuple[str, dict[str, Any]]] = OrderedDict()
        self._versions: OrderedDict[str, list[tuple[Registered, bool]]] = OrderedDict()

    async def prepare(self) -> None:
        """Make the tables if they are missing."""
        await self._database.transact(lambda c: tables.apply(c, PACKAGE, PART, self._clock))

    async def register(
        self,
        subject: str,
        schema: dict[str, Any],
        schema_type: str = "JSON",
        *,
        judged: bool = True,
    ) -> Registered:
        """Register ``schema`` as the next version of ``subject``; the same schema only once.

        Args:
            judged: give False where earlier versions are read some other way, as by an upcaster.

        Raises:
            InvalidSchema: it is no JSON Schema, or too large.
            SchemaIncompatible: it does not go together with earlier versions.
        """
        body = _checked(subject, schema, schema_type)
        mark, now_us = fingerprint(schema), self._clock.now_us()

        async def operation(connection: Connection) -> None:
            sql = _sql(connection)
            await connection.fetch(sql["lock"])
            rows = await connection.fetch(sql["versions_of"], {"subject": subject})
            same = [row for row in rows if row[5] == mark]
            if same:
                where = {"subject": subject, "version": same[0][0]}
                await connection.fetch(sql["undelete"], where)
                return
            level = await _level(connection, subject)
            living = [(int(row[0]), msgspec.json.decode(row[3])) for row in rows if not row[4]]
            findings = judge(schema, living, level) if judged else []
            if findings:
                raise SchemaIncompatible(subject, level, findings)
            new = {"fingerprint": mark, "schema_type": schema_type, "body": body}
            await connection.fetch(sql["add_schema"], new)
            found = await connection.fetch(sql["schema_by_fingerprint"], {"fingerprint": mark})
            version = max((int(row[0]) for row in rows), default=0) + 1
            added = {"subject": subject, "version": version, "schema_id": found[0][0]}
            await connection.fetch(sql["add_version"], {**added, "now": now_us})

        try:
            await self._database.transact(operation)
        except SchemaIncompatible:
            signals.count("goldseam_schema_incompatible_total")
            raise
        return await self.lookup(subject, schema)

    async def register_class(self, kind: EventType, registry: Registry) -> Registered:
        """Register an event class under the name of its type.

        A version that an upcaster leads to need not fit the earlier ones: the upcaster reads them.

        Raises:
            SchemaIncompatible: it does not fit what is registered, and no upcaster leads to it.
        """
        judged = (kind.name, kind.version - 1) not in registry.upcasters
        return await self.register(kind.name, schema_of(kind.kind), judged=judged)

    async def register_classes(self, registry: Registry) -> list[Registered]:
        """Register every event class, in the order of its versions. See :meth:`register_class`."""
        kinds = sorted(registry, key=lambda one: (one.name, one.version))
        return [await self.register_class(one, registry) for one in kinds]

    async def versions(self, subject: str, *, deleted: bool = False) -> list[Registered]:
        """All versions of ``subject``, oldest first.

        Raises:
            SchemaNotFound: the subject has none.
        """
        found = [one for one, gone in await self._all_versions(subject) if deleted or not gone]
        if not found:
            raise SchemaNotFound("subject", subject)
        return found

    async def get(
        self, subject: str, version: int | str = _LATEST, *, deleted: bool = False
    ) -> Registered:
        """One version of ``subject``; the newest unless said.

        Raises:
            SchemaNotFound: there is no such subject or version.
        """
        found = await self.versions(subject, deleted=deleted)
        if version in (_LATEST, -1, "-1"):
            return found[-1]
        for one in found:
            if str(one.version) == str(version):
                return one
        raise SchemaNotFound("version", version)

    async def lookup(
        self, subject: str, schema: dict[str, Any], *, deleted: bool = False
    ) -> Registered:
        """The version of ``subject`` that has this very schema.

        Raises:
            SchemaNotFound: there is no such subject, or none of its versions has it.
        """
        mark = fingerprint(schema)
        for one in await self.versions(subject, deleted=deleted):
            if fingerprint(one.schema) == mark:
                return one
        raise SchemaNotFound("schema", subject)

    async def by_id(self, schema_id: int) -> tuple[str, dict[str, Any]]:
        """The type and the body of a schema; from memory once it is known.

        Raises:
            SchemaNotFound: no schema has this id.
            StoreUnavailable: it is not known here, and the database is away.
        """
        known = self._by_id.get(schema_id)
        if known is not None:
            return known
        rows = await self._fetch("schema_by_id", id=schema_id)
        if not rows:
            raise SchemaNotFound("schema id", schema_id)
        found = str(rows[0][0]), cast(dict[str, Any], msgspec.json.decode(rows[0][1]))
        _remember(self._by_id, schema_id, found)
        return found

    async def fingerprints(self) -> list[tuple[int, str]]:
        """Every schema's id and fingerprint, by id."""
        return [(int(row[0]), str(row[1])) for row in await self._fetch("fingerprints")]

    async def uses_of(self, schema_id: int) -> list[tuple[str, int]]:
        """The subjects and versions that have this schema."""
        await self.by_id(schema_id)
        return [(str(row[0]), int(row[1])) for row in await self._fetch("uses_of", id=schema_id)]

    async def subjects(self, *, deleted: bool = False) -> list[str]:
        """The names of all subjects, by name."""
        return [str(row[0]) for row in await self._fetch("subjects") if deleted or not row[1]]

    async def delete(
        self, subject: str, version: int | str | None = None, *, permanent: bool = False
    ) -> list[int]:
        """Hide a version, or all; ``permanent`` takes away what is hidden already.

        Raises:
            SchemaNotFound: there is no such subject or version.
        """
        found = await self.versions(subject, deleted=permanent)
        if version is not None:
            found = [await self.get(subject, version, deleted=permanent)]
        name = "hard_delete" if permanent else "soft_delete"

        async def operation(connection: Connection) -> None:
            rows = [{"subject": subject, "version": one.version} for one in found]
            await connection.execute_many(_sql(connection)[name], rows)

        await self._database.transact(operation)
        self._versions.pop(subject, None)
        return [one.version for one in found]

    async def test(
        self, subject: str, schema: dict[str, Any], version: int | str | None = None
    ) -> list[Finding]:
        """What stands against ``schema`` as the next version; against one version, if given."""
        _checked(subject, schema, "JSON")
        level = await self._read(lambda c: _level(c, subject))
        if version is not None:
            one = await self.get(subject, version)
            return judge(schema, [(one.version, one.schema)], level)
        known = [one for one, gone in await self._all_versions(subject) if not gone]
        return judge(schema, [(one.version, one.schema) for one in known], level)

    async def level(self, subject: str | None = None) -> Level:
        """The level that new versions of ``subject`` are judged at; without one, the default."""
        return await self._read(lambda c: _level(c, subject or _ALL_SUBJECTS))

    async def own_setting(self, subject: str, setting: Literal["level", "mode"]) -> str | None:
        """What was set for ``subject`` itself."""
        rows = await self._fetch("setting", subject=subject, setting=setting)
        return str(rows[0][0]) if rows else None

    async def set_level(self, level: str | None, subject: str | None = None) -> None:
        """Set the level of a subject or of all; None takes the setting away."""
        if level is not None and level not in LEVELS:
            raise InvalidName("compatibility level", level, f"it is one of {', '.join(LEVELS)}")
        await self._set("level", level, subject)

    async def mode(self, subject: str | None = None) -> Mode:
        """Whether versions may be registered."""
        for name in (subject or _ALL_SUBJECTS, _ALL_SUBJECTS):
            rows = await self._fetch("setting", subject=name, setting="mode")
            if rows:
                return cast(Mode, rows[0][0])
        return "READWRITE"

    async def set_mode(self, mode: str | None, subject: str | None = None) -> None:
        """Set the mode of a subject or of all; None takes the setting away."""
        if mode is not None and mode not in MODES:
            raise InvalidName("mode", mode, f"it is one of {', '.join(MODES)}")
        await self._set("mode", mode, subject)

    async def _set(self, setting: str, value: str | None, subject: str | None) -> None:
        where: dict[str, object] = {"subject": subject or _ALL_SUBJECTS, "setting": setting}
        name = "delete_setting" if value is None else "put_setting"

        async def operation(connection: Connection) -> None:
            given = where if value is None else {**where, "value": value}
            await connection.fetch(_sql(connection)[name], given)

        await self._database.transact(operation)

    async def _all_versions(self, subject: str) -> list[tuple[Registered, bool]]:
        """All versions and whether they are hidden; as last seen while the database is away."""
        if "\0" in subject:  # no database stores it, so nobody has registered it
            return []
        try:
            rows = await self._fetch("versions_of", subject=subject)
        except StoreUnavailable:
            if subject in self._versions:
                return self._versions[subject]
            raise
        found = [
            (
                Registered(
                    subject, int(row[0]), int(row[1]), str(row[2]), msgspec.json.decode(row[3])
                ),
                bool(row[4]),
            )
            for row in rows
        ]
        _remember(self._versions, subject, found)
        for one, _ in found:
            _remember(self._by_id, one.id, (one.schema_type, one.schema))
        return found

    async def _read(self, operation: Operation[T]) -> T:
        return await self._database.read(operation)

    async def _fetch(self, name: str, **parameters: object) -> Sequence[tuple[Any, ...]]:
        sql = statements(PACKAGE, self._database.dialect)[name]
        return await self._database.fetch(sql, parameters)


async def _level(connection: Connection, subject: str) -> Level:
    for name in (subject, _ALL_SUBJECTS):
        where = {"subject": name, "setting": "level"}
        rows = await connection.fetch(_sql(connection)["setting"], where)
        if rows:
            return cast(Level, rows[0][0])
    return DEFAULT_LEVEL


def _checked(subject: str, schema: Any, schema_type: str) -> str:
    if not subject or "\0" in subject:
        raise InvalidSchema("its subject needs a name")
    if schema_type != "JSON":
        raise InvalidSchema(f"schemas of type {schema_type!r} are not kept here, only JSON")
    if not isinstance(schema, dict):
        raise InvalidSchema("a JSON Schema is an object")
    body = msgspec.json.encode(schema, order="deterministic")
    if len(body) > SCHEMA_BYTES_MAX:
        raise InvalidSchema(f"it has {len(body)} bytes, the limit is {SCHEMA_BYTES_MAX}")
    return body.decode()


def _remember(memory: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED_MAX:
        memory.popitem(last=False)


def _sql(connection: Connection) -> Any:
    return statements(PACKAGE, connection.dialect)
