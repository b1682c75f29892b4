"""What forgetting costs: a rotation of the epoch with 100,000 subjects."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from benchmarks.measure import Scenario
from goldseam.privacy.providers import open_provider
from goldseam.privacy.vault import Vault
from goldseam.resilience.clock import SystemClock
from goldseam.runtime.wiring import open_database

SUBJECTS = 100_000
MADE_AT_ONCE = 5_000
ROTATION_SECONDS_MAX = 60.0


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
