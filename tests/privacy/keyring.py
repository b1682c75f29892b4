"""Vaults for the tests: a key store, key files, a clock that is moved by hand."""

from __future__ import annotations

from pathlib import Path

from goldseam.database.connection import Database
from goldseam.privacy.providers import KeyProvider, open_provider
from goldseam.privacy.vault import Vault
from goldseam.resilience.clock import Clock, SystemClock
from goldseam.runtime.wiring import open_database


class HandClock(SystemClock):
    """A clock that stands still until ``seconds`` is changed."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds


class Keyring:
    """One key store and one folder of key files, from which any number of vaults can be opened."""

    def __init__(self, url: str, folder: Path, clock: Clock | None = None) -> None:
        self.url, self.folder = url, folder
        self._hand = HandClock()
        self.clock = clock or self._hand
        self._open: list[Vault] = []

    def provider(self) -> KeyProvider:
        return open_provider(f"file://{self.folder}", self.clock)

    async def vault(
        self, database: Database | None = None, provider: KeyProvider | None = None
    ) -> Vault:
        """A vault as another process would have it: its own connections, nothing in memory."""
        vault = Vault(database or open_database(self.url), provider or self.provider(), self.clock)
        await vault.prepare()
        self._open.append(vault)
        return vault

    async def close(self) -> None:
        for vault in self._open:
            await vault.close()

    def wait(self, seconds: float) -> None:
        self._hand.seconds += seconds
