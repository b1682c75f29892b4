"""One entry of the failure catalogue, and the words it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

Kind = Literal["failure", "practice"]
Status = Literal["covered", "planned"]
Severity = Literal["P1", "P2", "P3", "P4"]

KINDS: Final = get_args(Kind)
STATUSES: Final = get_args(Status)
SEVERITIES: Final = get_args(Severity)

SIDES: Final = (
    "people",
    "versioning",
    "events",
    "consistency",
    "producer",
    "broker",
    "consumer",
    "delivery",
    "idempotency",
    "healing",
    "cluster",
    "privacy",
    "saga",
    "scaling",
    "store",
    "projection",
    "read",
    "governance",
)
"""Where a failure strikes, in the order in which the guide comes to it; one file each."""

POINTERS: Final = ("module", "exception", "signal", "test", "runbook", "drill", "budget")
"""What a covered entry points at, from the code that cures it to the budget it is held to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One way an event-sourced system fails, or one practice against it (guide: all of it).

    ``guide`` is the heading of the guide that the entry comes from.
    ``severity`` is the guide's incident class: P1 data loss, P2 degraded, P3 minor, P4 no impact.
    ``related`` names other slugs: a practice names the failures it cures, and may share their
    test, drill, runbook and exception.
    A ``planned`` entry has no pointers at all, whatever its file says: what is not built yet
    cannot be taken for covered.
    ``not_applicable`` gives the reason for each pointer that a covered entry has no use for.
    Raises ValueError for a word outside the closed sets of this module.
    """

    slug: str
    title: str
    kind: Kind
    guide: str
    cause: str
    impact: str
    mitigation: str
    status: Status
    severity: Severity
    related: tuple[str, ...] = ()
    module: str | None = None
    exception: str | None = None
    signal: str | None = None
    test: str | None = None
    runbook: str | None = None
    drill: str | None = None
    budget: str | None = None
    not_applicable: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Check the closed sets, and take every pointer away from a planned entry."""
        side, _, name = self.slug.partition("/")
        if side not in SIDES or not name:
            raise ValueError(f"failure {self.slug!r}: a slug is side/name, side one of {SIDES}")
        for what, value, allowed in (
            ("kind", self.kind, KINDS),
            ("status", self.status, STATUSES),
            ("severity", self.severity, SEVERITIES),
        ):
            if value not in allowed:
                raise ValueError(f"failure {self.slug!r}: {what} {value!r} is not one of {allowed}")
        unknown = set(self.not_applicable) - set(POINTERS)
        if unknown:
            raise ValueError(f"failure {self.slug!r}: {sorted(unknown)} are not pointers")
        object.__setattr__(self, "related", tuple(self.related))
        object.__setattr__(self, "not_applicable", MappingProxyType(dict(self.not_applicable)))
        if self.status == "planned":
            for pointer in POINTERS:
                object.__setattr__(self, pointer, None)
            object.__setattr__(self, "not_applicable", MappingProxyType({}))

    @property
    def side(self) -> str:
        """Where it strikes: the part of the slug before the slash."""
        return self.slug.partition("/")[0]

    @property
    def file_name(self) -> str:
        """The slug as its files spell it, without an ending: ``store-version-conflict``."""
        return self.slug.replace("/", "-")

    @property
    def pointers(self) -> dict[str, str]:
        """The pointers this entry has, by name, in the order of POINTERS."""
        found = ((name, getattr(self, name)) for name in POINTERS)
        return {name: value for name, value in found if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """The entry as plain values, the pointers it lacks left out, ready for JSON."""
        return {
            "slug": self.slug,
            "title": self.title,
            "side": self.side,
            "kind": self.kind,
            "status": self.status,
            "severity": self.severity,
            "guide": self.guide,
            "cause": self.cause,
            "impact": self.impact,
            "mitigation": self.mitigation,
            "related": list(self.related),
            "pointers": self.pointers,
            "not_applicable": dict(self.not_applicable),
        }
