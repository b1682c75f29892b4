"""What goes wrong with sagas, and what a step says when its service will not."""

from __future__ import annotations

from goldseam.errors import GoldseamError, InvalidInput, Rejected


class SagaDefinitionError(InvalidInput):
    """A saga class that cannot be run as it is declared."""

    failure = "saga/half-done-transaction"


class UnknownSaga(InvalidInput):
    """No saga of this id."""

    def __init__(self, saga: str) -> None:
        self.saga = saga
        super().__init__(f"there is no saga {saga!r}; `goldseam saga list` shows those there are")


class UnknownDefinition(GoldseamError):
    """An open saga of a definition or version that this program does not have."""

    failure = "saga/stuck-saga"

    def __init__(self, saga: str, definition: str, version: int, known: str) -> None:
        self.saga, self.definition, self.version = saga, definition, version
        super().__init__(
            f"saga {saga!r} runs {definition!r} version {version}, and this program knows {known}; "
            "keep the class of every version until `goldseam saga list` shows none open"
        )


class SagaConflict(Rejected):
    """What was asked of a saga does not fit the state it is in; nothing was written."""

    failure = "saga/stuck-saga"

    def __init__(self, saga: str, status: str, wanted: str) -> None:
        self.saga, self.status = saga, status
        super().__init__(f"saga {saga!r} is {status}; {wanted}")


class SagaExists(Rejected):
    """A saga of this id was started with something else."""

    failure = "saga/half-done-transaction"

    def __init__(self, saga: str) -> None:
        self.saga = saga
        super().__init__(
            f"saga {saga!r} was started before with other data; give this one an id of its own"
        )


class SemanticallyLocked(Rejected):
    """A thing is in the middle of a saga, and nobody else may change it until that has ended."""

    failure = "saga/half-done-transaction"
    retry_safe = True

    def __init__(self, thing: str, holder: str) -> None:
        self.thing, self.holder = thing, holder
        super().__init__(f"{thing!r} is locked by saga {holder!r}; try again when it has ended")


class StepRefused(Exception):
    """Raised by a step: its service has said no for good and has done nothing.

    It is not tried again, and this step is not compensated: there is nothing to undo.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class CompensationFailed(GoldseamError):
    """A compensation has failed for good: the saga is parked and a human is needed."""

    failure = "saga/compensation-failure"

    def __init__(self, saga: str, step: str, error: str) -> None:
        self.saga, self.step = saga, step
        super().__init__(
            f"saga {saga!r} is parked: {step!r} could not be undone ({error}); mend the cause and "
            "run `goldseam saga retry`, or undo it by hand and run `goldseam saga resume`"
        )
