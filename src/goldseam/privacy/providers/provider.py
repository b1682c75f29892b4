"""The port to what keeps epoch keys, and what all providers share: wrapping in this process.

One epoch key wraps the keys of all subjects. Each wrapped key is bound to its subject, so nobody
can put one subject's key in another's row and have it survive the erasure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from goldseam.privacy.envelope import AESGCM, KEY_BYTES, NONCE_BYTES, InvalidTag
from goldseam.privacy.errors import KeyLost
from goldseam.resilience.clock import Clock

EPOCH_KEY_SECONDS = 3.0
"""How long an epoch's key stays in memory: after its destruction nobody unwraps any more."""

EPOCH_KEYS_MAX = 8
"""Epoch keys in memory; more than two exist only while rotations overlap."""


class Epoch(NamedTuple):
    """One epoch: its id, and what the provider needs besides, which is no secret."""

    id: str
    material: str = ""


class BoundKey(NamedTuple):
    """A key and whose it is."""

    bound: bytes
    key: bytes


class WrappedKey(NamedTuple):
    """A wrapped key and whose it is."""

    bound: bytes
    wrapped: str


class EpochGone(Exception):
    """The epoch's key does not exist (any more)."""


class KeyProvider(Protocol):
    """Keeps epoch keys outside any database."""

    name: str
    """For messages and reports; no secret, no credentials."""

    async def create_epoch(self, epoch: str) -> str:
        """Make the key of ``epoch`` if there is none, durably; what to remember beside its id.

        Raises:
            KeyStoreUnavailable, KeyProviderRefused: it was not made.
        """
        ...

    async def wrap(self, epoch: Epoch, keys: Sequence[BoundKey]) -> list[str]:
        """``keys`` wrapped under ``epoch``, in order, as text.

        Raises:
            EpochGone: there is no such epoch.
            KeyStoreUnavailable, KeyProviderRefused: the epoch's key cannot be had.
        """
        ...

    async def unwrap(self, epoch: Epoch, keys: Sequence[WrappedKey]) -> list[bytes]:
        """The keys behind ``keys``, in order.

        Raises:
            EpochGone: there is no such epoch: these keys are destroyed.
            KeyLost: a wrapped key was changed, or is not of whom it is said to be.
            KeyStoreUnavailable, KeyProviderRefused: the epoch's key cannot be had.
        """
        ...

    async def destroy_epoch(self, epoch: Epoch) -> None:
        """Destroy the key of ``epoch`` so that nobody can use it again; may be called twice.

        Raises:
            KeyStoreUnavailable, KeyProviderRefused: it may still exist.
        """
        ...

    async def exists(self, epoch: Epoch) -> bool:
        """Whether the key of ``epoch`` can still be used."""
        ...


class EnvelopeProvider(ABC):
    """A provider that hands out an epoch's key, kept in memory for at most 3 seconds.

    Args:
        name: for messages.
        clock: its monotonic side bounds how long an epoch's key is kept.
        new_bytes: random bytes of the wanted length, for keys and nonces.
    """

    def __init__(self, name: str, clock: Clock, new_bytes: Callable[[int], bytes]) -> None:
        self.name = name
        self._clock, self._new_bytes = clock, new_bytes
        self._held: dict[str, tuple[float, AESGCM]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @abstractmethod
    async def create_epoch(self, epoch: str) -> str:
        """Make the key of ``epoch`` if there is none; what to remember beside its id."""

    @abstractmethod
    async def fetch(self, epoch: Epoch) -> bytes:
        """The 32 bytes of the epoch's key.

        Raises:
            EpochGone: there is no such key.
        """

    @abstractmethod
    async def destroy(self, epoch: Epoch) -> None:
        """Destroy the key where it lives; nothing to do when it is gone already."""

    @abstractmethod
    async def exists(self, epoch: Epoch) -> bool:
        """Whether the key can still be used."""

    async def wrap(self, epoch: Epoch, keys: Sequence[BoundKey]) -> list[str]:
        """``keys`` wrapped under ``epoch``, in order."""
        aead = await self._aead(epoch)
        wrapped = []
        for bound, key in keys:
            nonce = self._new_bytes(NONCE_BYTES)
            wrapped.append(b64encode(nonce + aead.encrypt(nonce, key, bound)).decode())
        return wrapped

    async def unwrap(self, epoch: Epoch, keys: Sequence[WrappedKey]) -> list[bytes]:
        """The keys behind ``keys``, in order."""
        aead = await self._aead(epoch)
        found = []
        for bound, wrapped in keys:
            try:
                data = b64decode(wrapped)
                found.append(aead.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound))
            except (InvalidTag, ValueError):
                raise KeyLost("its wrapped form is damaged or of another subject") from None
        return found

    async def destroy_epoch(self, epoch: Epoch) -> None:
        """Forget the epoch's key here, and destroy it where it lives."""
        self._held.pop(epoch.id, None)
        await self.destroy(epoch)
        self._held.pop(epoch.id, None)  # somebody may have fetched it meanwhile

    async def _aead(self, epoch: Epoch) -> AESGCM:
        now = self._clock.monotonic()
        for old in [one for one, (until, _) in self._held.items() if until <= now]:
            del self._held[old]
        if epoch.id in self._held:
            return self._held[epoch.id][1]
        key = await self.fetch(epoch)
        if len(key) != KEY_BYTES:
            raise KeyLost("the key of its epoch is damaged")
        aead = AESGCM(key)
        if len(self._held) >= EPOCH_KEYS_MAX:
            self._held.pop(next(iter(self._held)))
        # Counted from before the fetch: a slow answer must not lengthen the bound.
        self._held[epoch.id] = now + EPOCH_KEY_SECONDS, aead
        return aead
