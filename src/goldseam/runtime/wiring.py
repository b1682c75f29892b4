"""From a URL to a back-end and a store; names the extra that is missing."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from goldseam.database.connection import Connection
from goldseam.errors import InvalidName, MissingExtra
from goldseam.events.registry import Registry, registry
from goldseam.forgetting import facts as forgetting_facts
from goldseam.resilience.clock import Clock, IdFactory, SystemClock, uuid7_bytes
from goldseam.sagas import facts as saga_facts
from goldseam.store import identity
from goldseam.store.connection import LogDatabase
from goldseam.store.event_store import EventStore
from goldseam.store.group_commit import RETRY_SECONDS
from goldseam.store.prepare import EVENT_BYTES_MAX
from goldseam.store.sealing import Sealer
from goldseam.versioning.admission import Admission
from goldseam.versioning.schema_registry import SchemaRegistry
from goldseam.versioning.upcasting import check_upcasters

if TYPE_CHECKING:
    from goldseam.privacy.state import Keys

_GROUP = "goldseam.backends"
_BUILT_IN = {
    "sqlite": "goldseam.backends.sqlite:open_database",
    "postgresql": "goldseam.backends.postgres:open_database",
    "postgres": "goldseam.backends.postgres:open_database",
}
_NEEDS = {"postgresql": ("psycopg", "postgres"), "postgres": ("psycopg", "postgres")}


def open_database(url: str) -> LogDatabase:
    """The database behind ``url``; connects when it is first used.

    Raises:
        InvalidName: no back-end for the URL's scheme.
        MissingExtra: the back-end's driver is not installed.
    """
    scheme = urlsplit(url).scheme
    if scheme in _NEEDS and find_spec(_NEEDS[scheme][0]) is None:
        raise MissingExtra(f"{scheme}://", _NEEDS[scheme][1])
    return cast(LogDatabase, _opener(scheme)(url))  # type: ignore[operator]


def _opener(scheme: str) -> object:
    if scheme in _BUILT_IN:
        module, _, name = _BUILT_IN[scheme].partition(":")
        return getattr(__import__(module, fromlist=[name]), name)
    for point in entry_points(group=_GROUP):
        if point.name == scheme:
            return point.load()
    known = ", ".join(sorted({*_BUILT_IN, *(p.name for p in entry_points(group=_GROUP))}))
    raise InvalidName("store URL scheme", scheme, f"there is a back-end for: {known}")


async def open_store(
    url: str,
    *,
    apply: bool = True,
    registry: Registry = registry,
    clock: Clock | None = None,
    new_id: IdFactory = uuid7_bytes,
    event_bytes_max: int = EVENT_BYTES_MAX,
    retry_seconds: float = RETRY_SECONDS,
    vault: Keys | None = None,
) -> EventStore:
    """Open the event store behind ``url``: ``sqlite:///shop.db`` or ``postgresql://...``.

    Args:
        apply: create or upgrade the tables first; give False where somebody else does that
            with ``goldseam store apply``.
        registry: the event classes; by default all that ``@event`` has declared.
        event_bytes_max: largest payload of one event.
        retry_seconds: how long an unreachable store is tried again before an append fails.
        vault: the keys of personal data; see :func:`goldseam.open_vault`. Who opened it closes it.

    Raises:
        UpcasterGap: the upcasters of an event type do not lead to its newest class.
        SchemaError: the tables are not what this version needs.
        StoreUnavailable: the database cannot be reached.
    """
    check_upcasters(registry)
    forgetting_facts.known_to(registry)  # the toolkit's own facts are read by everybody
    saga_facts.known_to(registry)
    clock = clock or SystemClock()
    database = open_database(url)

    async def prepare(connection: Connection) -> None:
        if apply:
            await identity.apply(connection, clock, new_id)
        else:
            await identity.check(connection)

    try:
        if apply:
            await database.transact(prepare)
        else:
            await database.read(prepare)
        store_id = await database.read_one(identity.store_identity)
    except BaseException:
        await database.close()
        raise
    return EventStore(
        database,
        store_id,
        registry=registry,
        clock=clock,
        new_id=new_id,
        event_bytes_max=event_bytes_max,
        retry_seconds=retry_seconds,
        sealer=None if vault is None else _sealer(vault),
        translate=_translated,
        admission=_admission(database, clock) if registry.open_to_unknown else None,
    )


def _admission(database: LogDatabase, clock: Clock) -> Admission:
    """Untyped events must fit what is registered for their type."""
    return Admission(SchemaRegistry(database, clock), clock)


async def _translated(connection: Connection, token: str) -> int | None:
    """A token of the store that this one was migrated from; loaded when one is met."""
    from goldseam.migration.tokens import translated

    return await translated(connection, token)


def _sealer(vault: Keys) -> Sealer:
    from goldseam.privacy.sealing import VaultSealer  # needs the extra "privacy"

    return VaultSealer(vault)
