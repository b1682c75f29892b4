"""What the schema registry refuses, and why; no text shows a value of an event."""

from __future__ import annotations

from collections.abc import Sequence

from goldseam.errors import InvalidInput, Rejected, StoreUnavailable
from goldseam.versioning.compatibility import Finding

FINDINGS_SHOWN_MAX = 5


class InvalidSchema(InvalidInput):
    """A text that is no JSON Schema, or of a type that is not kept here."""

    failure = "producer/serialization-failure"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the schema cannot be registered: {reason}")


class SchemaNotFound(InvalidInput):
    """There is no such subject, version or schema. ``what`` says which of them."""

    failure = "producer/serialization-failure"

    def __init__(self, what: str, name: object) -> None:
        self.what, self.name = what, name
        super().__init__(f"there is no {what} {name!r}; list them with `goldseam schema list`")


class SchemaIncompatible(Rejected):
    """A new version does not go together with earlier ones; nothing was registered."""

    failure = "versioning/old-event-misread"

    def __init__(self, subject: str, level: str, findings: Sequence[Finding]) -> None:
        self.subject, self.level, self.findings = subject, level, tuple(findings)
        shown = "; ".join(
            f"{one.path}: {one.reason} (version {one.against}, {one.direction})"
            for one in findings[:FINDINGS_SHOWN_MAX]
        )
        super().__init__(
            f"the schema is not {level} compatible with subject {subject!r}: {shown}; raise the "
            "event's version and declare an upcaster, or lower the level"
        )


class SchemaRefused(Rejected):
    """A registry outside does not take a schema; nothing was registered."""

    failure = "producer/serialization-failure"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the schema registry refuses the schema: {reason[:300]}; mend the schema")


class SchemaRejected(InvalidInput):
    """An event does not fit the schema that is registered for its type; nothing was written."""

    failure = "producer/serialization-failure"

    def __init__(self, name: str, version: int, path: str, rule: str) -> None:
        self.name, self.version, self.path, self.rule = name, version, path, rule
        super().__init__(
            f"event {name!r} version {version} does not fit its registered schema: {path} breaks "
            f"the rule {rule!r}; correct the event, or register the schema it is meant to have"
        )


class RegistryUnavailable(StoreUnavailable):
    """A registry outside cannot be reached or answers garbage, and the schema is not known here."""

    failure = "producer/serialization-failure"
