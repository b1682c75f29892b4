"""What a part that protects others from a broken one refuses."""

from __future__ import annotations

from goldseam.errors import GoldseamError


class BreakerOpen(GoldseamError):
    """A circuit breaker is open: the call was not made; nothing has happened.

    Attributes:
        name: which breaker.
        retry_after_seconds: when the next trial call may be made; above 0.
    """

    failure = "producer/broker-unreachable"

    def __init__(self, name: str, retry_after_seconds: float) -> None:
        self.name, self.retry_after_seconds = name, retry_after_seconds
        super().__init__(
            f"the circuit breaker {name!r} is open: too many calls failed; nothing was sent; "
            f"try again in {retry_after_seconds:.3g} s"
        )
