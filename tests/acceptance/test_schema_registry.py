"""Confluent's own Python client on our registry, unchanged."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastapi import FastAPI

from goldseam.errors import StoreUnavailable
from goldseam.http.schema_registry import schema_registry_router
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.wiring import open_database
from goldseam.versioning.errors import (
    InvalidSchema,
    RegistryUnavailable,
    SchemaNotFound,
    SchemaRefused,
)
from goldseam.versioning.outside_registry import OutsideRegistry
from goldseam.versioning.schema_registry import SchemaRegistry

V1 = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}
V2 = {**V1, "properties": {**V1["properties"], "currency": {"type": "string"}}}
RENAMED = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}


def as_schema(schema: dict[str, object]) -> Schema:
    """As the client takes it."""
    return Schema(json.dumps(schema), "JSON")


@pytest.fixture
def client(served: tuple[str, uvicorn.Server]) -> Iterator[SchemaRegistryClient]:
    """Confluent's client."""
    found = SchemaRegistryClient({"url": served[0]})
    yield found
    found._rest_client.session.close()


@pytest.fixture
def served(store_url: str) -> Iterator[tuple[str, uvicorn.Server]]:
    """The URL of a registry that is served by a real server in a thread."""
    ready = threading.Event()
    server = uvicorn.Server(uvicorn.Config(FastAPI(), port=0, log_level="error"))

    async def serve() -> None:
        database = open_database(store_url)
        registry = SchemaRegistry(database, SystemClock())
        await registry.prepare()
        app = FastAPI()
        app.include_router(schema_registry_router(lambda: registry), prefix="/schemas")
        server.config.app = app
        task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 -- uvicorn tells nobody
            await asyncio.sleep(0.01)
        ready.set()
        await task
        await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/schemas", server
    server.should_exit = True
    thread.join(20)


def test_register_get_and_look_up(client: SchemaRegistryClient) -> None:
    """Ids, versions, the newest one, and the same schema twice."""
    first = client.register_schema("Deposit", as_schema(V1))
    second = client.register_schema("Deposit", as_schema(V2))
    assert first == client.register_schema("Deposit", as_schema(V1))
    assert first != second
    assert first == client.register_schema("Other", as_schema(V1))
    assert ["Deposit", "Other"] == client.get_subjects()
    assert [1, 2] == client.get_versions("Deposit")
    newest = client.get_latest_version("Deposit")
    assert (2, second) == (newest.version, newest.schema_id)
    assert V1 == json.loads(client.get_version("Deposit", 1).schema.schema_str)
    assert V2 == json.loads(client.get_schema(second).schema_str)
    assert 1 == client.lookup_schema("Deposit", as_schema(V1)).version


def test_a_guid_from_a_record_leads_to_its_schema(client: SchemaRegistryClient) -> None:
    """As Confluent's deserializer asks for it; the same schema has it under every subject."""
    first = client.register_schema_full_response("Deposit", as_schema(V1))
    second = client.register_schema_full_response("Other", as_schema(V1))
    assert first.guid == second.guid is not None
    client.clear_caches()
    assert V1 == json.loads(client.get_schema_by_guid(first.guid).schema_str)
    assert first.guid == client.get_version("Deposit", 1).guid
    for unknown in ("00000000-0000-0000-0000-000000000005", "no-guid"):
        with pytest.raises(SchemaRegistryError) as refused:
            client.get_schema_by_guid(unknown)
        assert 40403 == refused.value.error_code


def test_compatibility_and_its_levels(client: SchemaRegistryClient) -> None:
    """A rename is refused while the level asks for more than nothing."""
    client.register_schema("Deposit", as_schema(V1))
    assert "BACKWARD" == client.get_compatibility()
    assert client.test_compatibility("Deposit", as_schema(V2))
    assert not client.test_compatibility("Deposit", as_schema(RENAMED))
    with pytest.raises(SchemaRegistryError, match=r"\$.total") as refused:
        client.register_schema("Deposit", as_schema(RENAMED))
    assert 409 == refused.value.http_status_code
    client.set_compatibility(subject_name="Deposit", level="NONE")
    assert "NONE" == client.get_compatibility("Deposit")
    assert client.register_schema("Deposit", as_schema(RENAMED))
    client.set_compatibility(level="FULL_TRANSITIVE")
    assert "FULL_TRANSITIVE" == client.get_compatibility()
    with pytest.raises(SchemaRegistryError) as wrong:
        client.set_compatibility(level="SIDEWAYS")
    assert 42203 == wrong.value.error_code


def test_what_is_not_there_has_confluents_code(client: SchemaRegistryClient) -> None:
    """40401 subject, 40402 version, 40403 schema."""
    client.register_schema("Deposit", as_schema(V1))
    for call, code in (
        (lambda: client.get_versions("Nothing"), 40401),
        (lambda: client.get_version("Deposit", 9), 40402),
        (lambda: client.get_schema(999), 40403),
        (lambda: client.lookup_schema("Deposit", as_schema(V2)), 40403),
        (lambda: client.register_schema("Deposit", Schema('{"type": "string"}', "AVRO")), 42201),
    ):
        with pytest.raises(SchemaRegistryError) as refused:
            call()
        assert code == refused.value.error_code


def test_deleted_versions_are_hidden_and_come_back(client: SchemaRegistryClient) -> None:
    """A soft delete hides; registering the same schema again shows it again."""
    client.register_schema("Deposit", as_schema(V1))
    client.register_schema("Deposit", as_schema(V2))
    assert 1 == client.delete_version("Deposit", 1)
    assert [2] == client.get_versions("Deposit")
    assert [2] == client.delete_subject("Deposit")
    assert [] == client.get_subjects()
    client.clear_caches()
    client.register_schema("Deposit", as_schema(V1))
    assert [1] == client.get_versions("Deposit")


def test_confluents_serializers_work_on_it(client: SchemaRegistryClient) -> None:
    """What their serializer writes with our ids, their deserializer reads."""
    titled = json.dumps({**V1, "title": "Deposit"})
    context = SerializationContext("deposits", MessageField.VALUE)
    write = JSONSerializer(titled, client)
    read = JSONDeserializer(titled, schema_registry_client=client)
    message = write({"amount": 50}, context)
    assert {"amount": 50} == read(message, context)
    assert ["deposits-value"] == client.get_subjects()


async def test_our_own_client_speaks_the_same(served: tuple[str, uvicorn.Server]) -> None:
    """Register, look up, judge; a rename is refused with the reason."""
    outside = OutsideRegistry(served[0])
    first = await outside.register("Deposit", V1)
    assert ("JSON", V1) == await OutsideRegistry(served[0]).by_id(first)
    assert await outside.test("Deposit", V2)
    assert not await outside.test("Deposit", RENAMED)
    with pytest.raises(SchemaRefused, match=r"\$.total"):
        await outside.register("Deposit", RENAMED)
    newest = await outside.latest("Deposit")
    assert (1, first, V1) == (newest.version, newest.id, newest.schema)
    with pytest.raises(SchemaNotFound):
        await outside.latest("Nothing")


async def test_known_schemas_serve_on_while_the_registry_is_down(
    served: tuple[str, uvicorn.Server],
) -> None:
    """What was fetched once is given; what was not is an error that says so."""
    outside, stranger = OutsideRegistry(served[0]), OutsideRegistry(served[0])
    first = await outside.register("Deposit", V1)
    await outside.latest("Deposit")
    served[1].should_exit = True
    while served[1].servers[0].is_serving():  # noqa: ASYNC110 -- uvicorn tells nobody
        await asyncio.sleep(0.01)
    assert first == await outside.register("Deposit", V1)
    assert ("JSON", V1) == await outside.by_id(first)
    assert V1 == (await outside.latest("Deposit")).schema
    with pytest.raises(RegistryUnavailable):
        await stranger.by_id(first)


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"schema": "no json"}'])
async def test_garbage_is_an_error_of_its_own(answer: bytes) -> None:
    """A proxy's page, a list, a schema that is none."""

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer)
        writer.write(head + answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((RegistryUnavailable, InvalidSchema)):
            await OutsideRegistry(f"http://127.0.0.1:{port}").by_id(1)


async def test_schemas_serve_on_while_the_store_is_away(store_url: str) -> None:
    """The registry's own memory: the versions of a subject as last seen, and schemas by id."""
    database = Away(open_database(store_url))
    registry = SchemaRegistry(database, SystemClock())
    await registry.prepare()
    done = await registry.register("Deposit", V1)
    database.away = True
    assert ("JSON", V1) == await registry.by_id(done.id)
    assert [V1] == [one.schema for one in await registry.versions("Deposit")]
    with pytest.raises(StoreUnavailable):
        await registry.versions("Other")
    await database.close()


class Away:
    """A database that can be taken away."""

    def __init__(self, database: Any) -> None:
        self._database, self.away = database, False

    def __getattr__(self, name: str) -> Any:
        if self.away and name in {"fetch", "read", "transact"}:
            raise StoreUnavailable("taken away")
        return getattr(self._database, name)
