"""When a snapshot is kept, and how a state becomes bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec

from goldseam.commands.aggregate import Aggregate
from goldseam.commands.decider import Decider
from goldseam.errors import InvalidInput

S = TypeVar("S")

EVENTS_BETWEEN = 100
"""Events replayed before a snapshot is worth its write, unless the policy says otherwise."""


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """Keep a snapshot when loading the state replayed too many events, or took too long.

    Args:
        every: at least so many events were replayed.
        slower_than_seconds: or the load took longer than this; None does not look at the time.
    """

    every: int = EVENTS_BETWEEN
    slower_than_seconds: float | None = None

    def wants(self, replayed: int, seconds: float = 0.0) -> bool:
        """Whether a load that replayed so many events in so long a time deserves a snapshot."""
        slow = self.slower_than_seconds is not None and seconds > self.slower_than_seconds
        return replayed >= self.every or (slow and replayed > 0)


@dataclass(frozen=True, slots=True)
class StateCodec(Generic[S]):
    """A state's bytes, and the hash of its shape that a snapshot must have to be used."""

    schema_hash: str
    encode: Callable[[S], bytes]
    decode: Callable[[bytes], S]


def state_codec(decider: Decider[Any, S, Any]) -> StateCodec[S]:
    """How this decider's state is kept.

    Raises:
        InvalidInput: its shape is not known; give the decider its ``state_type``.
    """
    initial = decider.initial
    if isinstance(initial, Aggregate):
        return _aggregate_codec(type(initial))
    kind = decider.state_type or type(initial)
    if kind in (type(None), object):
        raise InvalidInput(f"decider {decider.name!r} needs a state_type to keep snapshots")
    decoder = msgspec.json.Decoder(kind)
    return StateCodec(
        _schema_hash(kind, decider.snapshot_version), msgspec.json.encode, decoder.decode
    )


def _aggregate_codec(kind: type[Aggregate]) -> StateCodec[Any]:
    hints = get_type_hints(kind)
    names = list(kind().state())
    shape = msgspec.defstruct(f"{kind.__name__}State", [(name, hints[name]) for name in names])
    decoder = msgspec.json.Decoder(shape)

    def encode(aggregate: Aggregate) -> bytes:
        return msgspec.json.encode(shape(**aggregate.state()))

    def decode(state: bytes) -> Aggregate:
        aggregate, decoded = kind(), decoder.decode(state)
        for name in names:
            setattr(aggregate, name, getattr(decoded, name))
        return aggregate

    return StateCodec(_schema_hash(shape, kind.snapshot_version), encode, decode)


def _schema_hash(kind: Any, version: int) -> str:
    schema = msgspec.json.encode(msgspec.json.schema(kind), order="deterministic")
    return sha256(b"%d:" % version + schema).hexdigest()[:32]
