"""What forgetting costs: one subject, in a short log and a long one; the epoch's rotation."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from time import perf_counter

import msgspec

from benchmarks.measure import Scenario
from goldseam import ANY, open_store
from goldseam.events.registry import Registry
from goldseam.forgetting.forget import Forgetting
from goldseam.privacy.providers import open_provider
from goldseam.privacy.vault import Vault
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.wiring import open_database

SUBJECTS = 100_000
MADE_AT_ONCE = 5_000
ROTATION_SECONDS_MAX = 60.0

LOGS = {"1,000 events": 1_000, "100,000 events": 100_000}
"""Lengths of the logs in which one subject is forgotten."""

APPENDED_AT_ONCE = 500
FORGET_TARGET = 1.5
"""How much longer the long log may take: its index is deeper, and that is all."""


class Noted(msgspec.Struct, frozen=True):
    """An event that is nobody's."""

    text: str


class Erasure:
    """One forgotten subject in a log of 1,000 events and in one of 100,000; no projections.

    The wait for other processes' key caches is left out: it is the same for every log.
    """

    def __init__(self, name: str, urls: Mapping[str, tuple[str, str]], folder: Path) -> None:
        self._name, self._urls, self._folder = name, urls, folder
        self._numbers = count()

    def scenarios(self) -> list[Scenario]:
        """Milliseconds of one erasure in the long log beside the short one."""
        short, long = LOGS
        return [
            Scenario(
                f"{self._name}: forgetting one subject, long log beside short",
                FORGET_TARGET,
                lambda: self._forget(long),
                {short: lambda: self._forget(short)},
                unit="ms",
                better="lower",
            )
        ]

    async def _forget(self, log: str) -> float:
        clock, types = SystemClock(), Registry()
        types.event(Noted)
        store_url, keys_url = self._urls[log]
        epochs = self._folder / f"epochs-{LOGS[log]}"
        provider = open_provider(f"file://{epochs.absolute()}", clock)
        vault = Vault(open_database(keys_url), provider, clock)
        try:
            await vault.prepare()
            async with await open_store(store_url, registry=types, vault=vault) as store:
                for written in range(await store.head(), LOGS[log], APPENDED_AT_ONCE):
                    events = [Noted(f"note {written + n}") for n in range(APPENDED_AT_ONCE)]
                    await store.append(f"notes-{written}", events, expected=ANY)
                subject = f"customer-{next(self._numbers)}-{clock.now_us()}"
                await vault.sealing_keys(store.tenant, [subject])
                forgetting = Forgetting(store, vault, {}, pause=_no_pause)
                start = perf_counter()
                await forgetting.forget([subject], "benchmark")
                return (perf_counter() - start) * 1000
        finally:
            await vault.close()


async def _no_pause(_: float) -> None:
    """Nobody else has keys in memory here."""


class Rotation:
    """One key store with 100,000 subjects, filled when it is first measured.

    Args:
        name: of the back-end, for the table.
        url: of an empty key store.
        folder: for the epoch's key; its parent exists.
    """

    def __init__(self, name: str, url: str, folder: Path) -> None:
        self._name, self._url, self._folder = name, url, folder

    def scenarios(self) -> list[Scenario]:
        """Seconds of one rotation against the 60 that the project allows."""
        return [
            Scenario(
                f"{self._name}: rotation of the epoch of 100,000 subjects",
                1.0,
                self._rotate,
                {"60 s": _allowed},
                unit="s",
                better="lower",
            )
        ]

    async def _rotate(self) -> float:
        clock = SystemClock()
        provider = open_provider(f"file://{self._folder.absolute()}", clock)
        vault = Vault(open_database(self._url), provider, clock)
        try:
            await vault.prepare()
            if not (await vault.status()).active:
                names = [f"customer-{n}" for n in range(SUBJECTS)]
                for first in range(0, SUBJECTS, MADE_AT_ONCE):
                    await vault.sealing_keys("", names[first : first + MADE_AT_ONCE])
            start = perf_counter()
            await vault.rotate_epoch()
            seconds = perf_counter() - start
            status = await vault.status()
            assert (SUBJECTS, 1) == (status.active, status.epochs), status
            return seconds
        finally:
            await vault.close()


async def _allowed() -> float:
    return ROTATION_SECONDS_MAX
