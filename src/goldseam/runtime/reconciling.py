"""The ledger of an application: its store, its relay's topics, its consumers' databases."""

from __future__ import annotations

from goldseam.errors import InvalidInput
from goldseam.governance.applied import Books
from goldseam.governance.ledger import NAMED_MAX, Ledger, reconcile
from goldseam.outbox import checkpoint
from goldseam.outbox.sources import source_of
from goldseam.outbox.topics import relay_topics
from goldseam.runtime.application import Goldseam
from goldseam.runtime.brokers import open_broker


async def reconcile_application(application: Goldseam, *, named_max: int = NAMED_MAX) -> Ledger:
    """Account for every event that the application's relay has passed.

    Raises:
        InvalidInput: the application has no broker or no relay of its own.
    """
    relay, _, routing = application.relaying
    if application.broker_url is None or relay is None:
        raise InvalidInput("this application relays nothing: it has no broker= or relay=None")
    broker = open_broker(application.broker_url, clock=application.clock)
    try:
        async with application as opened:
            store = opened.store
            topics = await relay_topics(store.database, relay, opened.clock)
            shards = await store.database.read_one(lambda c: checkpoint.checkpoints(c, relay))
            admin = await broker.admin()
            books = [
                Books(one, opened.target(one.name), store.registry, opened.clock)
                for one in opened.consumers
            ]
            for one in books:
                await one.open(admin)
            found = await reconcile(
                store,
                admin,
                topics,
                routing,
                source=source_of(store),
                position=min((one.position for one in shards), default=0),
                books=books,
                named_max=named_max,
            )
            await admin.close()
            return found
    finally:
        await broker.close()
