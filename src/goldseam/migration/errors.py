"""What a store migration refuses, and why."""

from __future__ import annotations

from goldseam.errors import GoldseamError, InvalidInput, Rejected

FAILURE = "versioning/store-migration"


class InvalidTransform(InvalidInput):
    """The transform cannot be found, or gave back something that cannot be stored."""

    failure = FAILURE

    def __init__(self, transform: str, reason: str) -> None:
        self.transform, self.reason = transform, reason
        super().__init__(f"transform {transform!r}: {reason}; nothing of this page was copied")


class SealedFieldMoved(InvalidTransform):
    """A sealed value would stand under another event id or field, where no key opens it."""

    def __init__(self, transform: str, event_id: str, path: str) -> None:
        self.event_id, self.path = event_id, path
        super().__init__(
            transform,
            f"it moves the sealed field {path!r} to event {event_id}, but a sealed value opens "
            "only under its own event id and field; keep both, or leave the field out",
        )


class MigrationRefused(Rejected):
    """The migration cannot go on as asked; nothing was written."""

    failure = FAILURE

    def __init__(self, fact: str, next_step: str) -> None:
        self.fact, self.next_step = fact, next_step
        super().__init__(f"{fact}; {next_step}")


class TargetInUse(MigrationRefused):
    """The target has events or a migration that are not of this source and transform."""


class MigrationRunning(MigrationRefused):
    """Another process is at work on this target."""


class Displaced(MigrationRefused):
    """Another process has taken this migration over."""


class CutoverTooSlow(MigrationRefused):
    """The pause became longer than allowed: the source takes writes again."""


class MigrationDamaged(GoldseamError):
    """Source and target do not agree."""

    failure = FAILURE
