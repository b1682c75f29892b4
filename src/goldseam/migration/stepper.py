"""The source, event by event, through the transform: the same events give the same answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from goldseam.errors import InvalidInput
from goldseam.events.event import RawEvent
from goldseam.migration.errors import InvalidTransform
from goldseam.migration.sealed import refuse_moved
from goldseam.migration.transform import Fact, Named
from goldseam.store.prepare import EVENT_BYTES_MAX

HELD_POSITIONS_MAX = 1_000
"""How many positions an event may wait for the next of its stream; it bounds what is held, and
does not depend on pages, so that a resumed migration decides as an unbroken one."""

T = TypeVar("T")

_RFC_VERSION, _RFC_VARIANT = 0x80, 0x80

Held = dict[tuple[str, str], Fact]
"""The event that waits, by tenant and stream; in the order of their positions."""


class Stepper:
    """Turns source events into target events.

    Args:
        named: the transform.
        held: what waited when the last page was committed.
    """

    def __init__(self, named: Named, held: Held) -> None:
        self._named, self._transform, self.held = named, named.transform, held

    def step(self, raw: RawEvent) -> Sequence[RawEvent]:
        """The events that the target gets once ``raw`` is taken in, in their order.

        Raises:
            InvalidTransform: the transform gave back something that cannot be stored.
        """
        if self._named.is_plain:
            return (raw,)
        fact = Fact(*msgspec.structs.astuple(raw))
        if not self._named.merges:
            return self._changed(fact)
        made = self._overdue(fact.position)
        key = fact.tenant, fact.stream
        waiting = self.held.get(key)
        if waiting is not None:
            merged = self._asked(self._transform.merge, waiting, fact)
            if merged is None:
                del self.held[key]
                made += self._changed(waiting)
            else:
                fact = self._merged(waiting, fact, merged)
        if self._asked(self._transform.holds, fact):
            self.held[key] = fact
        else:
            self.held.pop(key, None)
            made += self._changed(fact)
        return made

    def finish(self) -> list[RawEvent]:
        """What still waits, when nothing more will come."""
        made = [one for fact in self.held.values() for one in self._changed(fact)]
        self.held.clear()
        return made

    def _overdue(self, position: int) -> list[RawEvent]:
        made: list[RawEvent] = []
        for key, fact in list(self.held.items()):
            if position - fact.position <= HELD_POSITIONS_MAX:
                break
            del self.held[key]
            made += self._changed(fact)
        return made

    def _merged(self, held: Fact, fact: Fact, merged: Fact) -> Fact:
        """The merged event, at the position of the first: that keeps ``held`` in order."""
        changes = {"position": held.position, "version": held.version}
        merged = msgspec.structs.replace(
            merged, id_bytes=merged.id_bytes or held.id_bytes, **changes
        )
        if merged.id_bytes not in (held.id_bytes, fact.id_bytes):
            self._named.refuse("a merged event must keep the id of one of the two")
        if (merged.tenant, merged.stream) != (held.tenant, held.stream):
            self._named.refuse("a merged event stays in its stream; move it in change()")
        refuse_moved(self._named.name, (held, fact), merged)
        return merged

    def _changed(self, fact: Fact) -> list[RawEvent]:
        changed = self._asked(self._transform.change, fact)
        if changed is fact:
            return [fact]
        if changed is None:
            return []
        several: Iterable[Fact] = (changed,) if isinstance(changed, Fact) else changed
        made: list[RawEvent] = []
        used: set[bytes] = set()
        given: list[Fact] = self._asked(list, several)
        for ordinal, one in enumerate(given):
            made.append(self._checked(fact, one, ordinal, used))
        return made

    def _asked(self, question: Callable[..., T], *facts: Any) -> T:
        """The transform's answer; its own errors are told without the event's values."""
        try:
            return question(*facts)
        except InvalidInput:
            raise
        except Exception as error:
            at = facts[-1].position if isinstance(facts[-1], Fact) else "an event"
            reason = f"it failed with {type(error).__name__} at position {at}"
            raise InvalidTransform(self._named.name, reason) from error

    def _checked(self, origin: Fact, one: Fact, ordinal: int, used: set[bytes]) -> Fact:
        if not isinstance(one, Fact):
            self._named.refuse(f"it gave back {type(one).__name__}, not a Fact")
        if not one.id_bytes or one.id_bytes in used:
            one = msgspec.structs.replace(one, id_bytes=derived_id(origin.id_bytes, ordinal))
        used.add(one.id_bytes)
        if one.tenant != origin.tenant:
            self._named.refuse(f"it moves an event to another tenant at {origin.position}")
        if len(one.payload) + len(one.metadata_bytes) > EVENT_BYTES_MAX:
            self._named.refuse(f"an event is larger than {EVENT_BYTES_MAX} bytes")
        refuse_moved(self._named.name, (origin,), one)
        return one


def derived_id(origin: bytes, ordinal: int) -> bytes:
    """The id of the ``ordinal``-th event out of ``origin``: the same each time (UUID version 8)."""
    made = bytearray(sha256(b"goldseam migration\0%d\0" % ordinal + origin).digest()[:16])
    made[6] = made[6] & 0x0F | _RFC_VERSION
    made[8] = made[8] & 0x3F | _RFC_VARIANT
    return bytes(made)
