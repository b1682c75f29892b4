"""Correct one event: check everything, then append the typed correction behind it.

From the guide, "Healing Commands: Fixing Immutable Events".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from goldseam.errors import VersionConflict
from goldseam.healing.errors import (
    ApprovalNeeded,
    HealingRefused,
    NotCorrectable,
    WrongValue,
)
from goldseam.healing.plan import Look, Plan, look_at, planned, same_before
from goldseam.healing.report import Healing, healing_of
from goldseam.healing.request import Approval, Request, checked, parsed_id
from goldseam.resilience.pause import Pause, jittered_pause
from goldseam.store.batch import Appended
from goldseam.store.event_store import EventStore
from goldseam.telemetry.signals import signals

ATTEMPTS = 20
"""How often to look again when others append to the stream: their events rarely matter."""


async def heal(
    store: EventStore,
    event_id: UUID | str,
    changes: Mapping[str, Any],
    *,
    reason: str,
    ticket: str,
    corrected_by: str,
    key: str | None = None,
    approval: Approval | None = None,
    pause: Pause = jittered_pause,
) -> Healing:
    """Append the correction of an event. To see first what it would do: :func:`plan`, preview.

    Args:
        event_id: the wrong event, or the correction of it that was wrong too.
        changes: the right values by field.
        reason, ticket, corrected_by: why, where that is discussed, and who; never empty.
        key: idempotency key; without one the same request is known by its correction in the log.
        approval: who approved it, for types that need four eyes.

    Raises:
        OriginalMissing, AlreadyCorrected, OriginalShredded, NothingChanges, ApprovalNeeded:
            refused; nothing was appended.
        NotCorrectable, WrongValue: the request does not fit what is declared.
        StoreUnavailable, CommitUnknown: ask again, it is stored once.
    """
    request = checked(Request(_id(event_id), changes, reason, ticket, corrected_by, key))
    try:
        return await _heal(store, request, approval, pause)
    except (HealingRefused, NotCorrectable, WrongValue):
        signals.count("goldseam_heal_refusals_total")
        raise


async def _heal(
    store: EventStore, request: Request, approval: Approval | None, pause: Pause
) -> Healing:
    attempt = 0
    while True:
        attempt += 1
        look = await look_at(store, request)
        done_before = await _before(store, request, look)
        if done_before is not None:
            return done_before
        found = planned(look, request)
        if look.correction.four_eyes and approval is None:
            raise ApprovalNeeded(
                str(request.event_id),
                f"corrections of {look.original.type} need a second person",
                "propose it: goldseam heal propose, then goldseam heal approve",
            )
        try:
            done = await _append(store, found, approval)
        except VersionConflict:
            if attempt >= ATTEMPTS:
                raise
            await pause(attempt)
            continue
        if not done.replayed:
            signals.count("goldseam_healings_total")
        return await _answer(store, look.original.stream, done)


async def healed_before(store: EventStore, request: Request) -> Healing | None:
    """The healing that this very request made before; None if it made none.

    Raises:
        OriginalMissing, NotCorrectable, WrongValue: as :func:`heal` does.
        IdempotencyMismatch: the request's key stands for another one.
    """
    return await _before(store, request, await look_at(store, request))


async def _before(store: EventStore, request: Request, look: Look) -> Healing | None:
    """By the caller's key, or else by what the log has."""
    if request.key is not None:
        stream, fingerprint = look.original.stream, request.fingerprint(look.personal())
        first = await store.first_result(request.key, fingerprint, stream)
        return None if first is None else await _answer(store, stream, first)
    event = same_before(look, request)
    if event is None:
        return None
    return msgspec.structs.replace(healing_of(store, event), replayed=True)


async def _append(store: EventStore, found: Plan, approval: Approval | None) -> Appended:
    """At the version that was looked at: of two who correct the same event, one is first."""
    request, look = found.request, found.look
    extra = {} if approval is None else approval._asdict()
    metadata = look.target.caused(actor=request.corrected_by)
    return await store.append_all(
        [(look.original.stream, look.version, [found.event])],
        key=request.key,
        metadata=msgspec.structs.replace(metadata, extra=extra),
        fingerprint=None if request.key is None else request.fingerprint(look.personal()),
    )


async def _answer(store: EventStore, stream: str, done: Appended) -> Healing:
    page = await store.read_stream(stream, after=done.versions[stream] - 1, limit=1)
    found = healing_of(store, page[0])
    return msgspec.structs.replace(found, replayed=done.replayed)


def _id(event_id: UUID | str) -> UUID:
    return event_id if isinstance(event_id, UUID) else parsed_id(event_id)
