"""How far a partition is done without a hole, when its records finish in any order."""

from __future__ import annotations

from heapq import heappop, heappush


class Prefix:
    """The offsets in flight. Only what lies below the lowest of them may be committed."""

    def __init__(self) -> None:
        self._began: list[int] = []
        self._done: set[int] = set()
        self.next: int | None = None
        """The next offset to commit: everything below is done. None before anything is."""

    def begin(self, offset: int) -> None:
        """``offset`` is being handled."""
        heappush(self._began, offset)

    def done(self, offset: int) -> None:
        """``offset`` is handled, or parked."""
        self._done.add(offset)
        while self._began and self._began[0] in self._done:
            first = heappop(self._began)
            self._done.discard(first)
            self.next = first + 1

    def __len__(self) -> int:
        return len(self._began)
