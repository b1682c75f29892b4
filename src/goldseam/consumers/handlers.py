"""Mark the methods that handle events; consumers and projections declare them the same way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from goldseam.errors import InvalidInput

Handler = Callable[[Any, Any, Any], Awaitable[None]]
H = TypeVar("H", bound=Callable[..., Awaitable[None]])


def handles(*kinds: type) -> Callable[[H], H]:
    """Let a method handle events of these classes, one at a time.

    The method gets the recorded event and what it may write with.

    Raises:
        InvalidInput: no classes are given.
    """
    if not kinds or not all(isinstance(kind, type) for kind in kinds):
        raise InvalidInput("@handles needs the event classes: @handles(DepositApplied)")

    def mark(method: H) -> H:
        method.__handles__ = kinds  # type: ignore[attr-defined]
        return method

    return mark


def handlers_of(owner: type, inherited: Mapping[type, Handler]) -> dict[type, Handler]:
    """The marked methods of ``owner`` by event class, on top of those it inherits."""
    found = dict(inherited)
    for method in vars(owner).values():
        for kind in getattr(method, "__handles__", ()):
            found[kind] = method
    return found
