"""The vault: a key for each subject, made when it is first needed, destroyed when it is forgotten.

From the guide, "Solution: Crypto Shredding". The events stay as they are; what opens them goes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from goldseam.database.connection import Database
from goldseam.errors import GoldseamError, InvalidInput
from goldseam.privacy.envelope import KEY_BYTES, SubjectKey, checked_subject
from goldseam.privacy.epochs import Epochs, Steps, bound
from goldseam.privacy.errors import (
    ErasureIncomplete,
    KeyLost,
    KeyStoreUnavailable,
    NotForgotten,
    SubjectForgotten,
)
from goldseam.privacy.key_cache import Held, KeyCache
from goldseam.privacy.key_store import Found, KeyStore, NewKey, State, Subject, reached
from goldseam.privacy.providers.provider import (
    BoundKey,
    Epoch,
    EpochGone,
    KeyProvider,
    WrappedKey,
)
from goldseam.resilience.clock import Clock
from goldseam.telemetry.signals import signals

FETCH_MAX = 1_000
"""Keys fetched, made or erased in one statement."""

ATTEMPTS_MAX = 10
"""How often a key is asked for again because an epoch has ended meanwhile."""

REASON_LENGTH_MAX = 500

FIRST_VERSION = 1


class VaultStatus(NamedTuple):
    """How many subjects are in which state, and what is left to do."""

    active: int
    forgotten: int
    readmitted: int
    open_erasures: int
    """Erasures that are recorded and not finished: ``resume`` them."""
    epochs: int
    """Epochs that are not destroyed; more than one while a rotation is under way."""
    provider: str


class Vault:
    """The keys of one key store and one provider; any number of processes may use them at once.

    Args:
        database: the key store: a database of its own, never that of the events.
        provider: keeps the epoch keys outside any database.
        new_key: random bytes of the wanted length.
    """

    def __init__(
        self,
        database: Database,
        provider: KeyProvider,
        clock: Clock,
        new_key: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database, self._provider, self._new_key = database, provider, new_key
        self._store = KeyStore(database, clock)
        self._cache = KeyCache(clock)
        self._epochs = Epochs(database, provider, clock, new_key)

    async def prepare(self, *, apply: bool = True) -> None:
        """Create or upgrade the key store's tables; or, without ``apply``, only check them.

        Raises:
            SchemaError: they are not what this version needs.
            KeyStoreUnavailable: the key store cannot be reached.
        """
        await self._store.prepare(apply=apply)

    async def close(self) -> None:
        """Close the key store."""
        await self._database.close()

    async def sealing_keys(self, tenant: str, subjects: Collection[str]) -> dict[str, SubjectKey]:
        """The newest key of each of ``subjects``; missing ones are made and stored first.

        A key may be up to 3 s old: so long after an erasure elsewhere something can still be
        sealed, under a key that is destroyed.

        Raises:
            SubjectForgotten: somebody is forgotten and not re-admitted.
            InvalidSubject: a name that cannot be stored.
            KeyLost: somebody's key is gone or damaged although nobody has forgotten them.
            KeyStoreUnavailable, KeyProviderRefused: no key can be had now.
        """
        for _ in range(ATTEMPTS_MAX):
            held = await self._held(tenant, subjects)
            gone = sum(one.key is None for one in held.values())
            if gone:
                raise SubjectForgotten(gone)
            missing = [one for one in subjects if one not in held]
            if not missing:
                return {subject: one.key for subject, one in held.items() if one.key is not None}
            await self._make(tenant, missing)
        raise KeyStoreUnavailable("epochs end faster than keys are made")

    async def opening_keys(
        self, tenant: str, wanted: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], SubjectKey | None]:
        """The key of each subject and version in ``wanted``; None where it was erased.

        Raises:
            KeyLost: a key is gone or damaged although nobody has forgotten its subject.
            KeyStoreUnavailable, KeyProviderRefused: no key can be had now.
        """
        held = await self._held(tenant, {subject for subject, _ in wanted})
        # Newer than what is known: re-admitted a moment ago, by another process.
        stale = {s for s, version in wanted if s in held and version > held[s].version}
        if stale:
            for subject in stale:
                self._cache.drop(tenant, subject)
            held |= await self._held(tenant, stale)
        return {(s, version): _opening(held.get(s), version) for s, version in wanted}

    async def forget(self, tenant: str, subject: str, reason: str) -> None:
        """Erase ``subject``: record it, delete its key, destroy what its key was wrapped with.

        From the record on, its keys are refused here, and within 3 s in every other process.
        Forgetting somebody again, or somebody unknown, does no harm.

        Raises:
            KeyStoreUnavailable: nothing was recorded.
            ErasureIncomplete: it is recorded; :meth:`resume` finishes it.
            InvalidSubject, InvalidInput: a name or a reason that cannot be stored.
        """
        await self.forget_many(tenant, [subject], reason)

    async def forget_many(self, tenant: str, subjects: Iterable[str], reason: str) -> int:
        """Erase several subjects with one rotation; how many were not forgotten before.

        Raises:
            as :meth:`forget`.
        """
        if len(reason) > REASON_LENGTH_MAX or "\0" in reason:
            raise InvalidInput(f"a reason has at most {REASON_LENGTH_MAX} characters and no NUL")
        names = sorted({checked_subject(one) for one in subjects})
        steps, count = Steps(), 0
        with steps("record"):
            for some in _chunks(names):
                count += await self._store.record(tenant, some, reason)
        for one in names:
            self._cache.drop(tenant, one)
        signals.count("goldseam_subjects_forgotten_total", count)
        await self._finish(steps)
        return count

    async def resume(self) -> None:
        """Finish what erasures and rotations have left, of all tenants; may find nothing to do.

        Raises:
            ErasureIncomplete: something is still in the way.
        """
        await self._finish(Steps())

    async def rotate_epoch(self) -> None:
        """Wrap all keys under a new epoch and destroy the old one, without forgetting anybody.

        Raises:
            ErasureIncomplete: at one of its steps; :meth:`resume` goes on.
        """
        steps = Steps()
        try:
            await self._epochs.rotate((await self._epochs.current()).number, steps)
        except Exception as error:
            raise _incomplete(steps, error) from _harmless(error)

    async def _finish(self, steps: Steps) -> None:
        try:
            with steps("delete keys"):
                await self._store.delete_recorded()
            newest = await self._store.newest_open_erasure()
            rows = await self._epochs.rows()
            if newest or any(row.state != "current" for row in rows):
                # A rotation that was begun goes on, whoever began it.
                begun = [row.number - 1 for row in rows if row.state == "creating"]
                await self._epochs.rotate(max(newest, *begun, 0), steps)
            with steps("finish"):
                await self._store.mark_done()
        except Exception as error:
            raise _incomplete(steps, error) from _harmless(error)

    async def readmit(self, tenant: str, subject: str) -> None:
        """Let a forgotten subject have a new key; what was sealed before stays unreadable.

        Raises:
            NotForgotten: it is not forgotten, or its erasure is not complete.
            KeyStoreUnavailable, KeyProviderRefused: nothing has changed.
        """
        for _ in range(ATTEMPTS_MAX):
            known = await self._store.subject(tenant, checked_subject(subject))
            if known is None or known.state != "forgotten":
                raise NotForgotten("not forgotten")
            if known.steps != "done":
                raise NotForgotten("not erased completely")
            version = known.key_version + 1
            epoch = await self._epochs.current()
            try:
                keys = await self._wrapped(epoch.epoch, tenant, [subject], version)
            except EpochGone:
                continue
            if await self._store.readmit(epoch.id, keys[0]):
                self._cache.drop(tenant, subject)
                return
        raise KeyStoreUnavailable("epochs end faster than keys are made")

    async def status(self) -> VaultStatus:
        """How many subjects are in which state, of all tenants."""
        counts = await self._store.counts()
        by_state = {
            state: sum(n for s, _, n in counts if s == state)
            for state in ("active", "forgotten", "readmitted")
        }
        return VaultStatus(
            **by_state,
            open_erasures=sum(n for _, unfinished, n in counts if unfinished),
            epochs=len(await self._epochs.rows()),
            provider=self._provider.name,
        )

    async def subject(self, tenant: str, subject: str) -> Subject | None:
        """One subject's state; None if nothing was ever sealed for it."""
        return await self._store.subject(tenant, checked_subject(subject))

    async def subjects(
        self, tenant: str, state: State | None = None, after: str = ""
    ) -> list[Subject]:
        """A page of at most 1,000 subjects by name; go on with the last one's name."""
        return await self._store.subjects(tenant, state, after)

    async def open_erasures(self) -> list[Subject]:
        """Up to 1,000 erasures that are recorded and not finished, of all tenants."""
        return await self._store.open_erasures()

    async def _held(self, tenant: str, subjects: Collection[str]) -> dict[str, Held]:
        """The newest keys of those ``subjects`` that are known: from memory, else fetched."""
        self._cache.sweep()
        now = self._cache.now()
        held, wanted = {}, []
        for subject in subjects:
            one = self._cache.get(tenant, subject, now)
            if one is None:
                wanted.append(checked_subject(subject))
            else:
                held[subject] = one
        for some in _chunks(wanted):
            held |= await self._fetch(tenant, some)
        return held

    async def _fetch(self, tenant: str, subjects: list[str]) -> dict[str, Held]:
        for _ in range(ATTEMPTS_MAX):
            asked = self._cache.now()
            found = await self._store.find(tenant, subjects)
            try:
                held = await self._unwrapped(tenant, found.values())
            except EpochGone:  # rotated between the two: its key is under the next epoch by now
                continue
            for subject, one in held.items():
                self._cache.keep(tenant, subject, one, asked)
            return held
        raise KeyLost("the key of its epoch is gone from the provider")

    async def _unwrapped(self, tenant: str, found: Iterable[Found]) -> dict[str, Held]:
        held: dict[str, Held] = {}
        by_epoch: dict[Epoch, list[tuple[Found, str]]] = {}
        for one in found:
            if one.state == "forgotten":
                held[one.subject] = Held(one.key_version, None)
            elif one.wrapped is None or one.epoch is None:
                raise KeyLost("its row is missing")
            else:
                epoch = Epoch(one.epoch, one.material or "")
                by_epoch.setdefault(epoch, []).append((one, one.wrapped))
        for epoch, some in by_epoch.items():
            closed = [
                WrappedKey(bound(tenant, one.subject, one.key_version), wrapped)
                for one, wrapped in some
            ]
            keys = await reached(self._provider.unwrap(epoch, closed))
            for (one, _), key in zip(some, keys, strict=True):
                held[one.subject] = Held(one.key_version, SubjectKey(one.key_version, key))
        return held

    async def _make(self, tenant: str, subjects: list[str]) -> None:
        """Make first keys; whoever else made one first has made the one that counts."""
        for some in _chunks(subjects):
            epoch = await self._epochs.current()
            try:
                keys = await self._wrapped(epoch.epoch, tenant, some, FIRST_VERSION)
            except EpochGone:
                return
            await self._store.add(epoch.id, keys)

    async def _wrapped(
        self, epoch: Epoch, tenant: str, subjects: list[str], version: int
    ) -> list[NewKey]:
        fresh = [BoundKey(bound(tenant, s, version), self._new_key(KEY_BYTES)) for s in subjects]
        wrapped = await reached(self._provider.wrap(epoch, fresh))
        return [
            NewKey(tenant, subject, version, key)
            for subject, key in zip(subjects, wrapped, strict=True)
        ]


def _opening(held: Held | None, version: int) -> SubjectKey | None:
    if held is None or version > held.version:
        raise KeyLost("the key store does not know it")
    return held.key if version == held.version else None


def _chunks(names: list[str]) -> Iterable[list[str]]:
    return (names[n : n + FETCH_MAX] for n in range(0, len(names), FETCH_MAX))


def _incomplete(steps: Steps, error: Exception) -> ErasureIncomplete:
    signals.count("goldseam_erasures_incomplete_total")
    cause = str(error) if isinstance(error, GoldseamError) else type(error).__name__
    return ErasureIncomplete(steps.done, steps.at, cause)


def _harmless(error: Exception) -> GoldseamError | None:
    """A driver's own error may show a row's values; ours never do."""
    return error if isinstance(error, GoldseamError) else None
