"""The evolution gate: is the store readable by this code, and do its schemas fit the old ones?

From the guide, "Versioning Over Time (The #1 Technical Failure)". It runs before a deployment,
where a misread event costs a red build and not a wrong balance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import msgspec

from goldseam.database import schema as tables
from goldseam.database.connection import Database, Row
from goldseam.errors import InvalidName, UpcasterGap
from goldseam.events.event import RawEvent
from goldseam.events.personal import Opened
from goldseam.events.registry import Past, Registry, Untyped
from goldseam.governance.stored_sample import Sample, StoredType
from goldseam.resilience.clock import Clock
from goldseam.store.decode import POSITION, Decoder, Page, sealed_payloads
from goldseam.store.sealing import Sealer
from goldseam.telemetry.signals import signals
from goldseam.versioning.compatibility import Level, judge
from goldseam.versioning.json_schema import fingerprint, schema_of
from goldseam.versioning.schema_registry import PACKAGE, PART, SchemaRegistry
from goldseam.versioning.upcasting import check_upcasters
from goldseam.versioning.weak_schema import DroppedFields, with_stand_ins

POSITIONS_SHOWN: Final = 5
"""Positions named in one finding: enough to look at, few enough to read."""

Severity = Literal["error", "note"]
Schemas = Mapping[tuple[str, int], dict[str, Any]]
"""The JSON Schema of each event type and version."""
Registered = Mapping[str, Sequence[tuple[int, dict[str, Any]]]]
"""What was registered for each event type: the registry's version numbers and the schemas."""

_decode = msgspec.json.Decoder().decode


class Rule(NamedTuple):
    """One way a deployment breaks the reading of a store."""

    id: str
    title: str
    why: str
    cure: str
    level: Severity = "error"


RULES: Final = {
    rule.id: rule
    for rule in (
        Rule(
            "upcaster-gap",
            "A chain of upcasters has a gap",
            "events of the versions before the gap cannot be read as today's",
            "declare the missing upcaster",
        ),
        Rule(
            "incompatible-schema",
            "A class does not fit the schemas of earlier versions",
            "what was written or is expected under them is misread",
            "declare an upcaster from the earlier version, or give new fields defaults",
        ),
        Rule(
            "changed-without-version",
            "A class was changed and kept its version",
            "two meanings are stored under one name, and no upcaster can tell them apart",
            "raise the class's version and declare an upcaster from the old one",
        ),
        Rule(
            "unreadable-event",
            "Stored events cannot be read by the new code",
            "replays, projections and commands stop at the first of them",
            "raise the class's version and declare an upcaster, or mend the one that fails",
        ),
        Rule(
            "unknown-type",
            "Stored events have a type or version that nobody reads",
            "whoever meets one stops, or holds it back",
            "register the class, or declare an upcaster to today's",
        ),
        Rule(
            "dropped-fields",
            "Stored events have fields that their class does not know",
            "they are dropped on every read; a renamed field looks like this",
            "fine if the field is no longer needed; an upcaster if it has another name now",
            "note",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that is broken, by which event type and version, and where it shows."""

    rule: str
    type: str
    type_version: int
    fact: str
    path: str = ""
    """The field, as a dotted path or JSON pointer; empty if it is about the whole type."""
    positions: tuple[int, ...] = ()
    """Some positions of events in question, the newest first."""

    @property
    def level(self) -> Severity:
        """``error`` fails the gate, ``note`` is for the reader."""
        return RULES[self.rule].level

    @property
    def message(self) -> str:
        """The fact, why it matters and what to do, in one line and without values."""
        rule = RULES[self.rule]
        where = "positions " + ", ".join(map(str, self.positions)) if self.positions else ""
        facts = "; ".join(part for part in (self.fact, where, rule.why) if part)
        return f"{self.type} version {self.type_version}: {facts}. Next: {rule.cure}"


# ------------------------------------------------------------------------------ the classes


def upcaster_gaps(registry: Registry) -> list[Finding]:
    """The gap of each event type whose chain of upcasters has one."""
    found = []
    for name in sorted({name for name, _ in registry.upcasters}):
        alone = Registry()
        alone.upcasters = {key: one for key, one in registry.upcasters.items() if key[0] == name}
        alone.by_name = {key: one for key, one in registry.by_name.items() if key[0] == name}
        try:
            check_upcasters(alone)
        except UpcasterGap as gap:
            found.append(Finding("upcaster-gap", name, gap.version, _gap(gap)))
    return found


def _gap(gap: UpcasterGap) -> str:
    if gap.version < gap.newest:
        return f"no upcaster leads on from version {gap.version}, the newest is {gap.newest}"
    return f"upcasters lead to version {gap.version}, the newest class is {gap.newest}"


def schemas_of(registry: Registry) -> dict[tuple[str, int], dict[str, Any]]:
    """The JSON Schema of every class, without those that JSON Schema has no words for."""
    found = {}
    for one in registry:
        if one.kind not in (Past, Untyped):
            with suppress(InvalidName):
                found[one.name, one.version] = schema_of(one.kind)
    return found


async def registered_schemas(database: Database, clock: Clock) -> Registered:
    """What is registered in a store, by event type; nothing where nobody ever registered any."""
    steps = await database.read(lambda c: tables.plan(c, PACKAGE, PART))
    if any(step.state == "pending" for step in steps):
        return {}
    schemas = SchemaRegistry(database, clock)
    return {
        subject: [(one.version, one.schema) for one in await schemas.versions(subject)]
        for subject in await schemas.subjects()
    }


def schema_findings(
    registry: Registry, today: Schemas, registered: Registered, level: Level
) -> list[Finding]:
    """Where today's classes do not fit the schemas that were registered for their types.

    A class that is registered as it is has no findings. A version that an upcaster leads to need
    not fit the earlier ones: the upcaster reads them, and the replay says whether it can.
    """
    found: list[Finding] = []
    for (name, version), schema in sorted(today.items()):
        olds = registered.get(name, ())
        known = any(fingerprint(dict(schema)) == fingerprint(dict(old)) for _, old in olds)
        if known or (name, version - 1) in registry.upcasters:
            continue
        rule = "changed-without-version" if version == 1 else "incompatible-schema"
        for one in judge(schema, olds, level):
            fact = f"{one.reason} (at {one.path}, {one.direction}, "
            fact += f"against registered version {one.against}, level {level})"
            found.append(Finding(rule, name, version, fact, one.path))
    refused = {(one.type, one.type_version) for one in found}
    if refused:
        signals.count("goldseam_schema_incompatible_total", len(refused))
    return found


# ------------------------------------------------------------------------------ the store


@dataclass(slots=True)
class _Trouble:
    """One reason why events of one stored type and version cannot be read."""

    rule: str
    type: str
    type_version: int
    reason: str
    positions: list[int] = field(default_factory=list)


async def replay_findings(
    registry: Registry, taken: Sample, sealer: Sealer | None = None
) -> list[Finding]:
    """What happens when the new code reads the sample: upcast, opened and decoded.

    Args:
        registry: the new code's classes and upcasters.
        taken: see :func:`goldseam.governance.stored_sample.sample`.
        sealer: opens sealed values; without one, stand-ins of their types are read instead.

    Raises:
        CorruptEvent: an event is damaged; that is not the new code's fault.
    """
    troubles: dict[tuple[str, str, int, str], _Trouble] = {}
    dropped = DroppedFields(registry)
    for tenant, rows in taken.rows.items():
        stored = {row[POSITION]: row for row in rows}
        decoder = Decoder(registry, tenant, tolerant=True)
        for event in await _read(decoder, tenant, rows, sealer):
            if isinstance(event.data, Untyped):
                _note(troubles, stored[event.position], event.data)
        dropped.add(_raw(row) for row in rows)
    found = [_of_trouble(one, taken.types) for one in troubles.values()]
    return found + dropped_findings(dropped)


async def _read(decoder: Decoder, tenant: str, rows: Sequence[Row], sealer: Sealer | None) -> Page:
    page = decoder.page([row[:-1] for row in rows], POSITION, len(rows))
    if not page.sealed:
        return page
    sealed = sealed_payloads(page)
    if sealer is not None:
        return decoder.opened(page, await sealer.open(tenant, sealed))
    return decoder.opened(
        page, (Opened(with_stand_ins(_decode(payload)), set()) for _, payload in sealed)
    )


def _note(troubles: dict[tuple[str, str, int, str], _Trouble], row: Row, data: Untyped) -> None:
    name, version = row[3], row[4]
    if data.unreadable:
        rule, reason = "unreadable-event", data.unreadable
    elif (data.name, data.version) == (name, version):
        rule, reason = "unknown-type", "no class and no upcaster is registered"
    else:
        rule = "unknown-type"
        reason = f"it is upcast to {data.name} version {data.version}, which nobody registered"
    trouble = troubles.setdefault(
        (rule, name, version, reason), _Trouble(rule, name, version, reason)
    )
    trouble.positions.append(row[POSITION])


def _of_trouble(one: _Trouble, types: Iterable[StoredType]) -> Finding:
    stored = next(t.events for t in types if (t.name, t.version) == (one.type, one.type_version))
    met = len(set(one.positions))
    fact = f"{one.reason} ({met} of the sample, {stored} stored)"
    newest = tuple(sorted(set(one.positions), reverse=True)[:POSITIONS_SHOWN])
    return Finding(one.rule, one.type, one.type_version, fact, "", newest)


def dropped_findings(dropped: DroppedFields) -> list[Finding]:
    """The report of dropped fields as notes."""
    found = []
    for one in dropped.report():
        names = ", ".join(sorted(one.fields))
        fact = f"dropped in {one.events} of the sample: {names}"
        if one.missing:
            fact += f"; not in these events and so by default: {', '.join(sorted(one.missing))}"
        at = (one.newest_position,)
        path = min(one.fields)
        found.append(Finding("dropped-fields", one.type, one.type_version, fact, path, at))
    return found


def _raw(row: Row) -> RawEvent:
    position, stream, version, name, type_version, payload, us, id_, meta, _, tenant = row
    return RawEvent(position, tenant, stream, version, name, type_version, payload, us, id_, meta)


def checked_types(registry: Registry, taken: Sample) -> list[tuple[str, int]]:
    """Every event type and version that the gate has an opinion on, sorted."""
    classes = {(one.name, one.version) for one in registry if one.kind not in (Past, Untyped)}
    return sorted(
        classes | {(one.name, one.version) for one in taken.types} | set(registry.upcasters)
    )


__all__ = [
    "RULES",
    "Finding",
    "Rule",
    "checked_types",
    "dropped_findings",
    "registered_schemas",
    "replay_findings",
    "schema_findings",
    "schemas_of",
    "upcaster_gaps",
]
