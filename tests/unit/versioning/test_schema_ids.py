"""Schema ids follow from the schema: the same in two stores, and found again by Confluent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from goldseam import Registry, open_store
from goldseam.broker.cloudevents import SCHEMA_ID_HEADER
from goldseam.outbox.routing import to_topic
from goldseam.outbox.sources import LogSource
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.wiring import open_database
from goldseam.versioning.errors import SchemaNotFound
from goldseam.versioning.json_schema import fingerprint, schema_of
from goldseam.versioning.schema_ids import ABSENT_SECONDS, SchemaGuids, guid_of, schema_by_guid
from goldseam.versioning.schema_registry import SchemaRegistry
from tests.support.hand_clock import HandClock

CLOCK = SystemClock()
types = Registry()


@types.event(name="meter.Read", version=2)
class MeterRead(msgspec.Struct, frozen=True):
    watts: int
    tenths: int = 0


OTHER: dict[str, Any] = {"type": "object", "required": ["watts"]}
MARK = fingerprint(schema_of(MeterRead))


@pytest.fixture
async def schemas(store_url: str) -> AsyncIterator[SchemaRegistry]:
    database = open_database(store_url)
    found = SchemaRegistry(database, CLOCK)
    await found.prepare()
    yield found
    await database.close()


async def test_two_registries_give_one_schema_one_id(
    schemas: SchemaRegistry, tmp_path: Path
) -> None:
    """Numbers depend on who came first; GUIDs do not, so a mirrored topic needs no translation."""
    database = open_database(f"sqlite:///{tmp_path / 'other.db'}")
    other = SchemaRegistry(database, CLOCK)
    await other.prepare()
    await other.register("something.Else", OTHER)
    numbers, ids = [], []
    for one in (schemas, other):
        (kind,) = types
        numbers.append((await one.register_class(kind, types)).id)
        ids.append(await SchemaGuids(one, CLOCK, types).guid("meter.Read", 2))
    await database.close()
    assert [1, 2] == numbers
    assert [guid_of(MARK).bytes] * 2 == ids


async def test_an_id_leads_back_to_its_schema(schemas: SchemaRegistry) -> None:
    """Through the registry that knows it; an unknown one is said to be unknown."""
    registered = await schemas.register("meter.Read", schema_of(MeterRead))
    number = await schema_by_guid(schemas, guid_of(MARK))
    assert (registered.id, ("JSON", schema_of(MeterRead))) == (number, await schemas.by_id(number))
    with pytest.raises(SchemaNotFound, match="GUID"):
        await schema_by_guid(schemas, UUID(int=5))


async def test_no_id_is_better_than_a_wrong_one(schemas: SchemaRegistry) -> None:
    """Another schema under the same subject and number is not this class's schema."""
    await schemas.register("meter.Read", {"type": "object"})
    await schemas.register("meter.Read", OTHER, judged=False)
    clock = HandClock()
    ids = SchemaGuids(schemas, clock, types)
    assert await ids.guid("meter.Read", 2) is None
    assert await ids.guid("meter.Unknown", 1) is None
    await schemas.register("meter.Read", schema_of(MeterRead), judged=False)
    assert await ids.guid("meter.Read", 2) is None, "it is remembered for a moment"
    clock.seconds += ABSENT_SECONDS + 1
    assert guid_of(MARK).bytes == await ids.guid("meter.Read", 2)


async def test_without_classes_the_version_is_that_of_the_subject(schemas: SchemaRegistry) -> None:
    """As for rows of the outbox table, whose writers name the version they mean."""
    await schemas.register("meter.Read", OTHER)
    ids = SchemaGuids(schemas, CLOCK)
    assert guid_of(fingerprint(OTHER)).bytes == await ids.guid("meter.Read", 1)
    assert await ids.guid("meter.Read", 2) is None


async def test_a_registry_that_nobody_made_gives_no_ids(tmp_path: Path) -> None:
    """A store without the registry's tables relays as before."""
    database = open_database(f"sqlite:///{tmp_path / 'bare.db'}")
    ids = SchemaGuids(SchemaRegistry(database, CLOCK), CLOCK, types)
    assert await ids.guid("meter.Read", 2) is None
    await database.close()


async def test_relayed_records_carry_it_and_confluent_reads_it(store_url: str) -> None:
    """Header mode: the payload is untouched, the header is what Confluent's client expects."""
    from io import BytesIO

    from confluent_kafka.schema_registry.serde import SchemaId

    async with await open_store(store_url, registry=types) as store:
        schemas = SchemaRegistry(store.database, CLOCK)
        await schemas.prepare()
        await schemas.register_classes(types)
        await store.append("meter-1", [MeterRead(5)], expected=0)
        source = LogSource(
            store, to_topic("meters"), schema_ids=SchemaGuids(schemas, CLOCK, types)
        )  # fmt: skip
        ((record,), _) = await source.batch(0, 10, 0, 1)
    seen = SchemaId("JSON")
    seen.from_bytes(BytesIO(dict(record.headers)[SCHEMA_ID_HEADER]))
    assert guid_of(MARK) == seen.guid
    assert {"watts": 5, "tenths": 0} == msgspec.json.decode(record.value or b"")
