"""A crash before and after every await of forgetting and of rotating, of the provider's too.

Each run dies at one await. Then another process looks: nobody else's key is lost at that moment.
It finishes what is left, and the forgotten key opens from no copy any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from goldseam.privacy.epochs import bound
from goldseam.privacy.errors import SubjectForgotten
from goldseam.privacy.providers import KeyProvider
from goldseam.privacy.providers.provider import BoundKey, Epoch, EpochGone, WrappedKey
from goldseam.privacy.vault import Vault
from goldseam.runtime.wiring import open_database
from goldseam.store.connection import LogDatabase
from goldseam.testing.faults import CrashingDatabase, CrashPoint, crash_points, until_crash
from tests.crashes.outside import query
from tests.privacy.keyring import Keyring

OTHERS = ["ada", "bob"]
COPIED = (
    "SELECT e.id, e.material, k.wrapped FROM goldseam_subject_keys k"
    " JOIN goldseam_epochs e ON e.number = k.epoch WHERE k.subject = ?"
)
STATE = "SELECT state, steps FROM goldseam_subjects WHERE subject = ?"
POINTS_MIN = 30
"""Fewer awaits than this, and the crashes are not where the work is."""


class CrashingProvider:
    """A provider whose every call is a moment to die, before it or after its effect."""

    def __init__(self, provider: KeyProvider, point: CrashPoint) -> None:
        self.provider, self.point, self.name = provider, point, provider.name

    async def create_epoch(self, epoch: str) -> str:
        return await self.point.pass_(lambda: self.provider.create_epoch(epoch))

    async def wrap(self, epoch: Epoch, keys: Sequence[BoundKey]) -> list[str]:
        return await self.point.pass_(lambda: self.provider.wrap(epoch, keys))

    async def unwrap(self, epoch: Epoch, keys: Sequence[WrappedKey]) -> list[bytes]:
        return await self.point.pass_(lambda: self.provider.unwrap(epoch, keys))

    async def destroy_epoch(self, epoch: Epoch) -> None:
        await self.point.pass_(lambda: self.provider.destroy_epoch(epoch))

    async def exists(self, epoch: Epoch) -> bool:
        return await self.point.pass_(lambda: self.provider.exists(epoch))


class Case:
    """One key store in which one process after the other dies."""

    def __init__(self, url: str, folder: Path) -> None:
        self.ring = Keyring(url, folder)
        self.database: LogDatabase = open_database(url)
        self.healthy = Vault(self.database, self.ring.provider(), self.ring.clock)

    def doomed(self, point: CrashPoint) -> Vault:
        provider = CrashingProvider(self.ring.provider(), point)
        return Vault(CrashingDatabase(self.database, point), provider, self.ring.clock)

    def fresh(self) -> Vault:
        return Vault(self.database, self.ring.provider(), self.ring.clock)

    async def others(self) -> dict[str, bytes]:
        """The keys of the others, as a process without anything in memory gets them."""
        keys = await self.fresh().sealing_keys("", OTHERS)
        return {subject: key.nonce_key for subject, key in keys.items()}


@pytest.fixture
async def case(store_url: str, tmp_path: Path) -> AsyncIterator[Case]:
    case = Case(store_url, tmp_path / "keys")
    await case.healthy.prepare()
    yield case
    await case.database.close()


async def test_a_crash_at_every_await_of_forget_is_finished_by_another_process(case: Case) -> None:
    """Recorded means refused at once; finished means that no copy of the key opens."""
    expected, number = await case.others(), 0
    copies: list[tuple[Any, ...]] = []

    async def run(point: CrashPoint) -> None:
        nonlocal number
        number += 1
        await case.healthy.sealing_keys("", [f"s-{number}"])
        copies[:] = query(case.ring.url, COPIED, f"s-{number}")
        await until_crash(point, case.doomed(point).forget("", f"s-{number}", "asked"))

    async for _ in crash_points(run):
        subject = f"s-{number}"
        assert expected == await case.others()
        if [("active", "")] == query(case.ring.url, STATE, subject):
            await case.fresh().forget("", subject, "asked again")
        else:
            with pytest.raises(SubjectForgotten):
                await case.fresh().sealing_keys("", [subject])
            await case.fresh().resume()
        await check(case, subject, copies, expected)
    assert number > POINTS_MIN


async def check(
    case: Case, subject: str, copies: Sequence[Any], expected: dict[str, bytes]
) -> None:
    """The erasure is done, everybody else is whole, one epoch is left."""
    assert [("forgotten", "done")] == query(case.ring.url, STATE, subject)
    assert expected == await case.others()
    assert 1 == (await case.fresh().status()).epochs == len(list(case.ring.folder.iterdir()))
    for epoch, material, wrapped in copies:
        with pytest.raises(EpochGone):
            await case.ring.provider().unwrap(
                Epoch(epoch, material), [WrappedKey(bound("", subject, 1), wrapped)]
            )


@pytest.mark.parametrize("finish", ["resume", "rotate_epoch"])
async def test_a_crash_at_every_await_of_a_rotation_loses_no_key(case: Case, finish: str) -> None:
    """Whoever resumes it or rotates again ends with one epoch and all keys."""
    expected = await case.others()

    async def run(point: CrashPoint) -> None:
        await until_crash(point, case.doomed(point).rotate_epoch())

    async for _ in crash_points(run):
        assert expected == await case.others()
        work: Callable[[], Coroutine[Any, Any, None]] = getattr(case.fresh(), finish)
        await work()
        assert expected == await case.others()
        assert 1 == (await case.fresh().status()).epochs == len(list(case.ring.folder.iterdir()))


async def test_a_crash_at_every_await_of_a_first_key_leaves_one_key_or_none(case: Case) -> None:
    """The next process makes it, or finds it; never two."""
    number = 0

    async def run(point: CrashPoint) -> None:
        nonlocal number
        number += 1
        await until_crash(point, case.doomed(point).sealing_keys("", [f"s-{number}"]))

    async for _ in crash_points(run):
        first = await case.fresh().sealing_keys("", [f"s-{number}"])
        again = await case.fresh().sealing_keys("", [f"s-{number}"])
        assert first[f"s-{number}"].nonce_key == again[f"s-{number}"].nonce_key
        count = "SELECT count(*) FROM goldseam_subject_keys WHERE subject = ?"
        assert [(1,)] == query(case.ring.url, count, f"s-{number}")
