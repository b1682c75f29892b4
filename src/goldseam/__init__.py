"""goldseam: event sourcing for Python where every failure has a name, a cure and a test.

What ``__all__`` lists is the public API; nothing else is promised. Names are loaded when they are
first used, so ``import goldseam`` stays quick and pulls in no optional part.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from goldseam.commands.aggregate import Aggregate
    from goldseam.commands.decider import Decider
    from goldseam.commands.handle import Handled, handle
    from goldseam.consumers.consumer import Consumer
    from goldseam.consumers.handlers import handles
    from goldseam.errors import (
        CommitUnknown,
        Fenced,
        GoldseamError,
        IdempotencyMismatch,
        ReadModelBehind,
        StoreUnavailable,
        VersionConflict,
    )
    from goldseam.events.event import Metadata, NewEvent, Recorded
    from goldseam.events.names import stream_name
    from goldseam.events.personal import Personal
    from goldseam.events.registry import Registry, event
    from goldseam.healing.corrections import corrects
    from goldseam.healing.heal import heal
    from goldseam.healing.log import history
    from goldseam.leadership.fencing import Fence
    from goldseam.projections.projection import Projection
    from goldseam.reads.read_model import ReadModel
    from goldseam.runtime.application import Goldseam
    from goldseam.runtime.keys import open_vault
    from goldseam.runtime.sagas import SagaPlan
    from goldseam.runtime.wiring import open_store
    from goldseam.sagas.errors import StepRefused
    from goldseam.sagas.saga import Saga, asks, step
    from goldseam.store.batch import Appended
    from goldseam.store.event_store import EventStore
    from goldseam.store.expected import ANY, EXISTS, NEW
    from goldseam.versioning.upcasting import upcaster

_HOME = {
    "ANY": "goldseam.store.expected",
    "Aggregate": "goldseam.commands.aggregate",
    "Appended": "goldseam.store.batch",
    "CommitUnknown": "goldseam.errors",
    "Consumer": "goldseam.consumers.consumer",
    "Decider": "goldseam.commands.decider",
    "EXISTS": "goldseam.store.expected",
    "EventStore": "goldseam.store.event_store",
    "Fence": "goldseam.leadership.fencing",
    "Fenced": "goldseam.errors",
    "Goldseam": "goldseam.runtime.application",
    "GoldseamError": "goldseam.errors",
    "Handled": "goldseam.commands.handle",
    "IdempotencyMismatch": "goldseam.errors",
    "Metadata": "goldseam.events.event",
    "NEW": "goldseam.store.expected",
    "NewEvent": "goldseam.events.event",
    "Personal": "goldseam.events.personal",
    "Projection": "goldseam.projections.projection",
    "ReadModel": "goldseam.reads.read_model",
    "ReadModelBehind": "goldseam.errors",
    "Recorded": "goldseam.events.event",
    "Registry": "goldseam.events.registry",
    "Saga": "goldseam.sagas.saga",
    "SagaPlan": "goldseam.runtime.sagas",
    "StepRefused": "goldseam.sagas.errors",
    "StoreUnavailable": "goldseam.errors",
    "VersionConflict": "goldseam.errors",
    "asks": "goldseam.sagas.saga",
    "corrects": "goldseam.healing.corrections",
    "event": "goldseam.events.registry",
    "handle": "goldseam.commands.handle",
    "handles": "goldseam.consumers.handlers",
    "heal": "goldseam.healing.heal",
    "history": "goldseam.healing.log",
    "open_store": "goldseam.runtime.wiring",
    "open_vault": "goldseam.runtime.keys",
    "step": "goldseam.sagas.saga",
    "stream_name": "goldseam.events.names",
    "upcaster": "goldseam.versioning.upcasting",
}

__all__ = [
    "ANY",
    "EXISTS",
    "NEW",
    "Aggregate",
    "Appended",
    "CommitUnknown",
    "Consumer",
    "Decider",
    "EventStore",
    "Fence",
    "Fenced",
    "Goldseam",
    "GoldseamError",
    "Handled",
    "IdempotencyMismatch",
    "Metadata",
    "NewEvent",
    "Personal",
    "Projection",
    "ReadModel",
    "ReadModelBehind",
    "Recorded",
    "Registry",
    "Saga",
    "SagaPlan",
    "StepRefused",
    "StoreUnavailable",
    "VersionConflict",
    "asks",
    "corrects",
    "event",
    "handle",
    "handles",
    "heal",
    "history",
    "open_store",
    "open_vault",
    "step",
    "stream_name",
    "upcaster",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'goldseam' has no attribute {name!r}")
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
