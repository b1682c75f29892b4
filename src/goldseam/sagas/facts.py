"""What happens to a saga, as facts in its own stream: the saga's state and its audit trail.

What services have said (the data it began with, results and answers that are registered events)
stands in the stream as itself, right behind the fact that announces it: so personal fields are
sealed, upcast and forgotten as everywhere else.
"""

from __future__ import annotations

from typing import Any

from goldseam.events.registry import Registry, event

CATEGORY = "saga"
LOCKS_CATEGORY = "lock"


@event(name="goldseam.SagaStarted")
class SagaStarted:
    """It began; the next event is the data it began with. It keeps this version to its end.

    ``locks``: what nobody else may change meanwhile; see semantic_locks.py.
    """

    definition: str
    version: int
    locks: tuple[str, ...] = ()


@event(name="goldseam.StepAsked")
class StepAsked:
    """A command has left for a service; its answer is awaited until ``due_us``."""

    step: str
    attempt: int
    due_us: int
    undoing: bool = False


@event(name="goldseam.StepCompleted")
class StepCompleted:
    """A step has taken effect. ``said``: its result is the next event; else ``result`` is it."""

    step: str
    result: Any = None
    said: bool = False


@event(name="goldseam.StepRefused")
class StepWasRefused:
    """The service said no and did nothing. ``said``: what it answered is the next event."""

    step: str
    reason: str
    said: bool = False


@event(name="goldseam.StepAttemptFailed")
class StepAttemptFailed:
    """An attempt failed; it may have taken effect all the same. The next one is at ``due_us``."""

    step: str
    attempt: int
    error: str
    due_us: int
    undoing: bool = False


@event(name="goldseam.StepGivenUp")
class StepGivenUp:
    """The last attempt failed. Whether it took effect is unknown, so it is undone as well."""

    step: str
    error: str


@event(name="goldseam.CompensationRequested")
class CompensationRequested:
    """Somebody wants the saga undone."""

    by: str
    reason: str


@event(name="goldseam.StepUndone")
class StepUndone:
    """A step's compensation has taken effect. ``said``: its answer is the next event."""

    step: str
    said: bool = False
    by: str = ""
    reason: str = ""


@event(name="goldseam.AnswerCameLate")
class AnswerCameLate:
    """An answer that nobody awaited any more; the next event is it. It changes nothing."""

    type: str


@event(name="goldseam.SagaParked")
class SagaParked:
    """A compensation failed for good. The saga waits for a human, and nobody waits for it."""

    step: str
    error: str


@event(name="goldseam.SagaRetried")
class SagaRetried:
    """Somebody wants what failed to be tried again, with all its attempts."""

    by: str
    reason: str


@event(name="goldseam.SagaCompleted")
class SagaCompleted:
    """Every step has taken effect."""


@event(name="goldseam.SagaCompensated")
class SagaCompensated:
    """Whatever had taken effect is undone."""


@event(name="goldseam.SemanticLockTaken")
class SemanticLockTaken:
    """A thing is in the middle of a saga."""

    saga: str


@event(name="goldseam.SemanticLockReleased")
class SemanticLockReleased:
    """The saga has ended, and the thing is free."""

    saga: str


FACTS: tuple[type, ...] = (
    SagaStarted,
    StepAsked,
    StepCompleted,
    StepWasRefused,
    StepAttemptFailed,
    StepGivenUp,
    CompensationRequested,
    StepUndone,
    AnswerCameLate,
    SagaParked,
    SagaRetried,
    SagaCompleted,
    SagaCompensated,
)
"""What stands in a saga's stream besides what services have said."""


_NAMES: dict[type, str] = {
    kind: f"goldseam.{kind.__name__.replace('WasRefused', 'Refused')}"
    for kind in (*FACTS, SemanticLockTaken, SemanticLockReleased)
}


def known_to(registry: Registry) -> None:
    """Let ``registry`` write and read the facts."""
    for kind, name in _NAMES.items():
        registry.register(kind, name=name)
