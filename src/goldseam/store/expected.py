"""Which version a writer expects its stream to have: optimistic locking.

From the guide, "Write-Side Scaling: Optimistic Locking".
"""

from __future__ import annotations

from enum import IntEnum

from goldseam.errors import InvalidName


class Expected(IntEnum):
    """What a writer may expect besides an exact version number."""

    ANY = -2
    """Whatever the version is: the events hold in every state."""

    EXISTS = -1
    """The stream has at least one event."""

    NEW = 0
    """The stream has no events yet."""


ExpectedVersion = Expected | int
"""An :class:`Expected`, or the exact number of events the stream must have."""

ANY, EXISTS, NEW = Expected.ANY, Expected.EXISTS, Expected.NEW


def checked_expected(expected: ExpectedVersion) -> int:
    """``expected`` as the number that travels to the store.

    Raises:
        InvalidName: it is not a version.
    """
    allowed: object = expected
    if not isinstance(allowed, int) or isinstance(allowed, bool) or allowed < Expected.ANY:
        raise InvalidName("expected version", expected, "it must be NEW, EXISTS, ANY or a count")
    return int(expected)


def shown_expected(expected: int) -> int | str:
    """For messages: the word or the number."""
    return Expected(expected).name.lower() if expected < 0 else expected


def holds(expected: int, actual: int) -> bool:
    """Whether a stream at version ``actual`` is what the writer expects."""
    return expected in (actual, Expected.ANY) or (expected == Expected.EXISTS and actual > 0)
