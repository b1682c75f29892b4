"""The whole erasure of a person, in steps that can be repeated and taken up by anybody.

From the guide, "GDPR: The Right to Forget". Destroying the key is the erasure; the rest follows
what has been copied out of the events: snapshots, read models, the caches of other processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from goldseam.errors import GoldseamError
from goldseam.events.event import Metadata
from goldseam.forgetting.errors import ReadModelsUnknown, StillThere
from goldseam.forgetting.facts import STREAM, SubjectForgotten, known_to
from goldseam.forgetting.progress import STEPS, Erasure, Progress
from goldseam.forgetting.read_models import about_people, reproject, settle
from goldseam.forgetting.snapshots import delete_snapshots
from goldseam.privacy.errors import ErasureIncomplete
from goldseam.privacy.key_cache import KEY_CACHE_SECONDS
from goldseam.privacy.vault import Vault
from goldseam.projections.hosted import HostedProjection
from goldseam.store.event_store import EventStore
from goldseam.store.expected import ANY
from goldseam.telemetry.signals import signals

SETTLE_SECONDS = KEY_CACHE_SECONDS + 1.0
"""So long other processes may still read with a key in memory, and write what they read."""

FACTS_AT_ONCE = 100
"""Facts appended side by side."""

_KEY_BYTES = 16

Erased = Sequence[Erasure]


class Report(NamedTuple):
    """What an erasure did."""

    subjects: int
    """Whose erasures are complete now."""
    snapshots: int
    read_models: tuple[str, ...]
    """Which were built anew."""
    notes: tuple[str, ...]
    """What the operator should know, such as what a database keeps for a while."""


class Forgetting:
    """Forgets people of one tenant in one store and its read models.

    Args:
        store: opened with the vault.
        projections: all read models of the store by name; None when they are not known here,
            which leaves that step open.
        pause: how to wait until the key caches of other processes have ended.
    """

    def __init__(
        self,
        store: EventStore,
        vault: Vault,
        projections: Mapping[str, HostedProjection] | None,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        known_to(store.registry)
        self._store, self._vault, self._projections = store, vault, projections
        self._pause, self._settle_seconds = pause, settle_seconds
        self._progress = Progress(store.database, vault, store.tenant, store.clock)
        self._snapshots, self._notes = 0, list[str]()
        self._rebuilt: tuple[str, ...] = ()

    async def forget(
        self, subjects: Iterable[str], reason: str, *, actor: str | None = None
    ) -> Report:
        """Forget ``subjects``: from the record on, no process seals or opens for them.

        Forgetting somebody again, or somebody unknown, does no harm.

        Args:
            reason: why, for whoever asks later; at most 500 characters, no personal data.
            actor: who asked for it, by an id.

        Raises:
            InvalidSubject, InvalidInput, KeyStoreUnavailable: nothing was recorded.
            ErasureIncomplete: it is recorded; :meth:`resume` finishes it.
        """
        names = sorted(set(subjects))
        await self._vault.forget_many(self._store.tenant, names, reason)
        return await self._follow(await self._erasures(names), actor)

    async def resume(self) -> Report:
        """Finish all erasures of the tenant that are recorded and not complete; may find none.

        Raises:
            ErasureIncomplete: something is still in the way.
        """
        await self._vault.resume()
        await self._prepare()
        return await self._follow(await self._progress.left(), None)

    async def left(self) -> list[Erasure]:
        """The erasures of the tenant that are recorded and not complete."""
        await self._prepare()
        return await self._progress.left()

    async def _prepare(self) -> None:
        await self._progress.prepare()

    async def _erasures(self, names: Sequence[str]) -> Erased:
        try:
            await self._prepare()
            found = [await self._vault.subject(self._store.tenant, name) for name in names]
            known = [(one.subject, one.forgotten_us) for one in found if one is not None]
            return [one for one in await self._progress.of(known) if one.open]
        except Exception as error:
            raise _incomplete(STEPS[:1], STEPS[1], error) from None

    async def _follow(self, erasures: Erased, actor: str | None) -> Report:
        """Do every step that is missing for some of ``erasures``, for those."""
        self._snapshots, self._notes, self._rebuilt = 0, [], ()
        work: Mapping[str, Callable[[Erased], Awaitable[None]]] = {
            "fact": lambda some: self._tell(some, actor),
            "snapshots": self._delete_snapshots,
            "read models": self._reproject,
            "files": self._settle,
            "check": self._check,
        }
        done: tuple[str, ...] = STEPS[:1]
        for step in STEPS[1:]:
            some = [one for one in erasures if step not in one.done]
            try:
                if some:
                    await work[step](some)
                    about = [(one.subject, one.forgotten_us) for one in some]
                    await self._progress.keep(about, (*done, step))
            except Exception as error:
                raise _incomplete(done, step, error) from None
            done = (*done, step)
        return Report(len(erasures), self._snapshots, self._rebuilt, tuple(self._notes))

    async def _tell(self, erasures: Erased, actor: str | None) -> None:
        for n in range(0, len(erasures), FACTS_AT_ONCE):
            await asyncio.gather(
                *(self._tell_one(one, actor) for one in erasures[n : n + FACTS_AT_ONCE])
            )

    async def _tell_one(self, erasure: Erasure, actor: str | None) -> None:
        known = await self._vault.subject(self._store.tenant, erasure.subject)
        reason = known.reason if known is not None else ""
        about = f"{erasure.subject}\0{erasure.forgotten_us}"
        digest = sha256(about.encode()).digest()[:_KEY_BYTES]
        await self._store.append_all(
            [(STREAM, ANY, [SubjectForgotten(erasure.subject, erasure.forgotten_us)])],
            key=f"goldseam-forgotten-{digest.hex()}",
            metadata=Metadata(actor=actor, extra={"reason": reason} if reason else {}),
            fingerprint=digest,  # a resumed one may not know the actor
        )

    async def _delete_snapshots(self, erasures: Erased) -> None:
        store = self._store
        for one in erasures:
            self._snapshots += await delete_snapshots(store.database, store.tenant, one.subject)

    def _affected(self) -> list[HostedProjection]:
        if self._projections is None:
            raise ReadModelsUnknown
        registry = self._store.registry
        return [
            hosted
            for hosted in self._projections.values()
            if about_people(hosted.projection, registry)
        ]

    async def _reproject(self, _: Erased) -> None:
        affected = self._affected()
        if affected:
            await self._pause(self._settle_seconds)
        for hosted in affected:
            await reproject(hosted)
        self._rebuilt = tuple(sorted(hosted.name for hosted in affected))

    async def _settle(self, _: Erased) -> None:
        databases = {id(one.database): one.database for one in self._affected()}
        for database in databases.values():
            self._notes += await settle(database)

    async def _check(self, erasures: Erased) -> None:
        """Whether the keys are gone for this process too, as for any other."""
        if await self._opening(erasures):
            # A key in this process's memory, from before another one has forgotten it.
            await self._pause(self._settle_seconds)
            if await self._opening(erasures):
                raise StillThere

    async def _opening(self, erasures: Erased) -> bool:
        """Whether somebody's key can be had, or their erasure is not done."""
        tenant = self._store.tenant
        for one in erasures:
            known = await self._vault.subject(tenant, one.subject)
            if known is None or known.steps != "done":
                return True
            last = known.key_version - (known.state == "readmitted")
            if last:
                opening = await self._vault.opening_keys(tenant, {(one.subject, last)})
                if any(opening.values()):
                    return True
        return False


def _incomplete(done: Sequence[str], failed: str, error: Exception) -> ErasureIncomplete:
    signals.count("goldseam_erasures_incomplete_total")
    cause = str(error) if isinstance(error, GoldseamError) else type(error).__name__
    return ErasureIncomplete(done, failed, cause)
