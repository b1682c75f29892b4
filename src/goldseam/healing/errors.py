"""What healing refuses, and why."""

from __future__ import annotations

from goldseam.errors import InvalidInput, Rejected

WRONG_FACT = "healing/wrong-fact"
COMPENSATING_EVENT = "healing/compensating-event"
SCHEMA = "healing/healing-event-schema"


class InvalidCorrection(InvalidInput):
    """A correction class is declared in a way that could not correct anything."""

    failure = SCHEMA

    def __init__(self, kind: str, reason: str) -> None:
        self.kind, self.reason = kind, reason
        super().__init__(f"@corrects on {kind}: {reason}")


class NotCorrectable(InvalidInput):
    """No correction is declared for this event, or not for this field of it."""

    failure = SCHEMA

    def __init__(self, fact: str, next_step: str) -> None:
        self.fact, self.next_step = fact, next_step
        super().__init__(f"{fact}; {next_step}")


class WrongValue(InvalidInput):
    """A corrected value does not fit its field, or one of the reasons is missing."""

    failure = SCHEMA

    def __init__(self, field: str, reason: str) -> None:
        self.field, self.reason = field, reason
        super().__init__(f"{field!r} cannot be set to this: {reason}; nothing was appended")


class HealingRefused(Rejected):
    """The correction would not be right; nothing was appended."""

    failure = COMPENSATING_EVENT

    def __init__(self, event_id: str, fact: str, next_step: str) -> None:
        self.event_id, self.fact, self.next_step = event_id, fact, next_step
        super().__init__(f"event {event_id} is not corrected: {fact}; {next_step}")


class OriginalMissing(HealingRefused):
    """There is no event of this id."""

    failure = WRONG_FACT


class AlreadyCorrected(HealingRefused):
    """Somebody corrected it before; ``correction_id`` is the correction that counts."""

    def __init__(self, event_id: str, correction_id: str) -> None:
        self.correction_id = correction_id
        super().__init__(
            event_id,
            f"correction {correction_id} corrects it already",
            f"if that one is wrong, correct it: goldseam heal {correction_id} --set ...",
        )


class OriginalShredded(HealingRefused):
    """A person whom the original is about is forgotten: nobody knows any more what was wrong."""

    failure = WRONG_FACT


class NothingChanges(HealingRefused):
    """Every field has the value already that it was to be given."""


class ApprovalNeeded(HealingRefused):
    """Corrections of this type need a second person."""


class ProposalRefused(Rejected):
    """A proposal cannot be made or decided; nothing was appended."""

    failure = COMPENSATING_EVENT

    def __init__(self, fact: str, next_step: str) -> None:
        self.fact, self.next_step = fact, next_step
        super().__init__(f"{fact}; {next_step}")
