"""Keys in memory for at most three seconds, so that a forget elsewhere is soon seen here."""

from __future__ import annotations

from typing import NamedTuple

from goldseam.privacy.envelope import SubjectKey
from goldseam.resilience.clock import Clock

KEY_CACHE_SECONDS = 3.0
"""Erasures must be seen by every process within 5 s; this leaves time for what is under way."""

KEY_CACHE_MAX = 100_000
"""Keys in memory, about 1 kB each; more subjects than this are fetched again."""


class Held(NamedTuple):
    """The newest key of a subject; without a key it is forgotten."""

    version: int
    key: SubjectKey | None


class KeyCache:
    """What was fetched lately, for one process; its ``repr`` shows no key.

    Args:
        clock: its monotonic side counts the seconds.
        seconds: how long a key is used, from before it was fetched.
        entries_max: the oldest goes when there are more.
    """

    def __init__(
        self, clock: Clock, seconds: float = KEY_CACHE_SECONDS, entries_max: int = KEY_CACHE_MAX
    ) -> None:
        self._clock, self._seconds, self._max = clock, seconds, entries_max
        self._held: dict[tuple[str, str], tuple[float, Held]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"KeyCache({len(self._held)} keys)"

    def now(self) -> float:
        """The time to say at the other methods: for :meth:`keep` the time before fetching."""
        return self._clock.monotonic()

    def get(self, tenant: str, subject: str, now: float) -> Held | None:
        """What is known and not too old at ``now``."""
        found = self._held.get((tenant, subject))
        return None if found is None or found[0] <= now else found[1]

    def keep(self, tenant: str, subject: str, held: Held, asked: float) -> None:
        """Remember what was asked for at ``asked``."""
        # Out and in again: the entries stay in the order in which they end.
        self._held.pop((tenant, subject), None)
        if len(self._held) >= self._max:
            self._held.pop(next(iter(self._held)))
        self._held[tenant, subject] = asked + self._seconds, held

    def drop(self, tenant: str, subject: str) -> None:
        """Forget one subject's key at once."""
        self._held.pop((tenant, subject), None)

    def sweep(self) -> None:
        """Forget what is too old, so that a key nobody asks for does not stay in memory."""
        now = self._clock.monotonic()
        while self._held:
            first = next(iter(self._held))
            if self._held[first][0] > now:
                return
            del self._held[first]
