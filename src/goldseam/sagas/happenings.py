"""What can happen to a saga, from inside and from outside; `transitions.py` says what follows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec


class Began(msgspec.Struct, frozen=True):
    """Somebody starts it with ``data``; ``locks`` are semantic."""

    data: Any
    locks: tuple[str, ...] = ()


class Succeeded(msgspec.Struct, frozen=True):
    """A call has returned. ``said``: the result is a registered event."""

    step: str
    result: Any = None
    said: bool = False
    undoing: bool = False


class Refused(msgspec.Struct, frozen=True):
    """A call's service has said no and done nothing."""

    step: str
    reason: str
    undoing: bool = False


class Failed(msgspec.Struct, frozen=True):
    """A call has failed, or not returned in time: nobody knows whether it took effect.

    ``attempt``: which one it was, so that to say it twice is to say it once; 0: the current one.
    """

    step: str
    error: str
    undoing: bool = False
    attempt: int = 0


class Answered(msgspec.Struct, frozen=True):
    """A service has said something.

    ``event_id``: under which the saga keeps it. ``cause``: the id of the event that made the
    service say so. ``kept`` False: it is about somebody who is forgotten, and stands nowhere.
    """

    data: Any
    event_id: UUID
    cause: str | None = None
    kept: bool = True


class TimePassed(msgspec.Struct, frozen=True):
    """It is later than it was."""


class AskedToCompensate(msgspec.Struct, frozen=True):
    """A human wants it undone."""

    by: str
    reason: str


class AskedToRetry(msgspec.Struct, frozen=True):
    """A human wants what failed to be tried again."""

    by: str
    reason: str


class DoneByHand(msgspec.Struct, frozen=True):
    """A human has undone the step that could not be undone."""

    by: str
    reason: str


Happened = (
    Began
    | Succeeded
    | Refused
    | Failed
    | Answered
    | TimePassed
    | AskedToCompensate
    | AskedToRetry
    | DoneByHand
)
