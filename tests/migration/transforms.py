"""Transforms of the migration tests: each does one thing of which the guide speaks."""

from __future__ import annotations

from collections.abc import Iterable

from goldseam.migration.transform import Fact, Transform


def renamed(fact: Fact) -> Fact:
    """Another name, another version, one field more."""
    return fact.but(type="Counted", type_version=2, fields={**fact.fields, "unit": "tick"})


def mixed(fact: Fact) -> Fact | Iterable[Fact] | None:
    """Rename, split, drop and re-stream, by the number of the event."""
    fields = fact.fields
    match fields.get("number", 0) % 5:
        case 1:
            return None
        case 2:
            return [
                fact.but(type="HalfTicked"),
                fact.new("OtherHalfTicked", {"of": fields["number"]}),
            ]
        case 3:
            return fact.but(stream=f"moved-{fields['writer']}")
        case 4:
            return fact.but(type="Counted", fields={"count": fields["number"]})
    return fact


class Pairs(Transform):
    """Each even number waits for the odd one behind it; both become one event."""

    def holds(self, fact: Fact) -> bool:
        return fact.type == "Ticked" and fact.fields["number"] % 2 == 0

    def merge(self, held: Fact, fact: Fact) -> Fact | None:
        first, second = held.fields["number"], fact.fields["number"]
        if second != first + 1:
            return None
        return held.but(type="PairTicked", fields={"first": first, "second": second})
