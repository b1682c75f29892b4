"""What a transform may do, what it may not, and that a resumed one decides as an unbroken one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.events.event import RawEvent
from goldseam.migration.errors import InvalidTransform, SealedFieldMoved
from goldseam.migration.position_map import START, MapBuilder, Run
from goldseam.migration.stepper import HELD_POSITIONS_MAX, Stepper, derived_id
from goldseam.migration.transform import Changed, Fact, Named, Transform, load_transform
from tests.migration.transforms import Pairs

SEALED = {"$sealed": {"s": "customer-1", "k": 1, "c": "bm9uY2U"}}


def raw(position: int, stream: str = "tick-1", **fields: object) -> RawEvent:
    payload = msgspec.json.encode({"number": position, **fields})
    id_bytes = position.to_bytes(16, "big")
    return RawEvent(position, "main", stream, position, "Ticked", 1, payload, 7, id_bytes, b"{}")


def stepped(transform: object, events: Iterable[RawEvent]) -> list[RawEvent]:
    stepper = Stepper(Named(transform), {})  # type: ignore[arg-type]
    made = [one for event in events for one in stepper.step(event)]
    return made + stepper.finish()


def test_an_event_that_is_handed_back_keeps_its_very_bytes() -> None:
    """Nothing is decoded and encoded again: checksums and seals of old clients stay true."""
    odd = msgspec.structs.replace(raw(1), payload=b'{ "number":1.0e0 , "x": "\\u00e9" }')
    assert [odd.payload] == [one.payload for one in stepped(lambda fact: fact, [odd])]
    assert [odd] == stepped(None, [odd])


def test_a_split_gives_new_ids_that_are_the_same_each_time() -> None:
    """The first keeps the id; the others have ids of version 8 derived from it."""

    def split(fact: Fact) -> Changed:
        return [fact.but(type="A"), fact.new("B", {"n": 1}), fact.but(type="C")]

    first, again = stepped(split, [raw(1)]), stepped(split, [raw(1)])
    assert ["A", "B", "C"] == [one.type for one in first]
    assert first == again
    assert raw(1).id_bytes == first[0].id_bytes
    assert 3 == len({one.id_bytes for one in first})
    assert 8 == derived_id(b"x" * 16, 1)[6] >> 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: "no fact", "failed with|not a Fact"),
        (lambda fact: [fact.fields], "not a Fact"),
        (lambda fact: msgspec.structs.replace(fact, tenant="acme"), "another tenant"),
        (lambda fact: fact.but(fields={"big": "x" * 2_000_000}), "larger than"),
        (lambda fact: fact.but(type_version=0), "is not 1 to"),
        (lambda fact: fact.fields["nowhere"], "failed with KeyError at position 1"),
    ],
)
def test_what_cannot_be_stored_is_refused(change: object, reason: str) -> None:
    """The error names the transform and the place, never a value of the event."""
    with pytest.raises(InvalidTransform, match=reason) as refused:
        stepped(change, [raw(1, secret="hunter2")])
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda fact: fact.but(fields={"elsewhere": fact.fields["name"]}),
        lambda fact: fact.new("Copied", fact.fields),
        lambda fact: [fact, fact],
        lambda fact: fact.but(fields={"name": {"$sealed": {**SEALED["$sealed"], "k": 2}}}),
    ],
)
def test_a_sealed_value_does_not_move(change: object) -> None:
    """Another field, another event id, another value: no key would ever open it again."""
    with pytest.raises(SealedFieldMoved, match="opens only under its own event id and field"):
        stepped(change, [raw(1, name=SEALED)])


def test_a_sealed_value_may_stay_or_go() -> None:
    """Beside a changed field, under another type or stream, and left out."""
    event = raw(1, name=SEALED)
    kept = stepped(lambda f: f.but(type="New", stream="n-1", fields={**f.fields, "a": 1}), [event])
    gone = stepped(lambda f: f.but(fields={"a": 1}), [event])

    assert SEALED == json.loads(kept[0].payload)["name"]
    assert {"a": 1} == json.loads(gone[0].payload)


def test_a_merge_keeps_the_seals_of_the_event_whose_id_it_has() -> None:
    """Those of the other one are bound to its id: they may only be left out."""

    class Join(Transform):
        take = "name"

        def holds(self, fact: Fact) -> bool:
            return fact.type == "Ticked"

        def merge(self, held: Fact, fact: Fact) -> Fact | None:
            return held.but(type="Both", fields={self.take: held.fields[self.take]})

    class Steal(Join):
        def merge(self, held: Fact, fact: Fact) -> Fact | None:
            return held.but(type="Both", fields={"name": fact.fields["name"]})

    events = [raw(1, name=SEALED), raw(2, name={"$sealed": {"s": "other"}})]
    assert ["Both"] == [one.type for one in stepped(Join(), events)]
    with pytest.raises(SealedFieldMoved):
        stepped(Steal(), events)


@given(st.lists(st.integers(1, 3), max_size=60), st.data())
def test_a_merge_does_not_depend_on_where_pages_end(
    streams: list[int], data: st.DataObject
) -> None:
    """Stopped and resumed at any places, with what waited written down, it makes the same."""
    numbers: dict[int, int] = {}
    events = []
    for position, stream in enumerate(streams, 1):
        number = numbers.get(stream, -1) + 1
        numbers[stream] = number
        one = raw(position, f"tick-{stream}")
        payload = msgspec.json.encode({"number": number})
        events.append(msgspec.structs.replace(one, payload=payload))
    unbroken = stepped(Pairs(), events)

    made: list[RawEvent] = []
    stepper = Stepper(Named(Pairs()), {})
    for event in events:
        if data.draw(st.booleans()):
            facts = sorted(stepper.held.values(), key=lambda fact: fact.position)
            stepper = Stepper(Named(Pairs()), {(f.tenant, f.stream): f for f in facts})
        made += stepper.step(event)
    assert unbroken == made + stepper.finish()


def test_an_event_waits_for_a_bounded_time() -> None:
    """After so many positions it goes as it is, whether or not its partner comes later."""
    first = msgspec.structs.replace(raw(1), payload=b'{"number":0}')
    others = [raw(n, "other-1", number=1) for n in range(2, HELD_POSITIONS_MAX + 2)]
    late = msgspec.structs.replace(raw(HELD_POSITIONS_MAX + 2), payload=b'{"number":1}')
    made = stepped(Pairs(), [first, *others, late])

    assert "Ticked" == made[HELD_POSITIONS_MAX].type
    assert {"PairTicked"}.isdisjoint({one.type for one in made})
    made = stepped(Pairs(), [first, *others[:-1], msgspec.structs.replace(late, position=1_001)])
    assert "PairTicked" == made[-1].type


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=80), st.data())
def test_the_position_map_says_what_was_copied(
    steps: list[tuple[int, bool]], data: st.DataObject
) -> None:
    """However the log is cut into pages, each position maps to what the target ended at."""
    runs: list[Run] = []
    builder, head = MapBuilder(START, 0), 0
    heads = [0]
    for position, (made, settled) in enumerate(steps, 1):
        if data.draw(st.booleans()):
            builder = MapBuilder(builder.run, head)
        builder.add(position, made, settled=settled)
        runs += builder.begun
        builder.begun.clear()
        head += made
        heads.append(head)
    for position, (_, settled) in enumerate(steps, 1):
        run = [one for one in runs if one.source_first <= position][-1:] or [START]
        assert heads[position] == run[0].at(position)
        assert settled == run[0].settled


def test_the_map_of_an_untouched_log_is_one_run() -> None:
    """A hundred thousand events, one row: it is compact where nothing is left out."""
    builder = MapBuilder(START, 0)
    for position in range(1, 100_001):
        builder.add(position, 1, settled=True)
    assert [Run(1, 1, 1, settled=True)] == builder.begun


def test_a_transform_is_found_by_its_name_and_known_by_its_text() -> None:
    """A function, a class; what does not exist, or cannot be called, is said."""
    function = load_transform("tests.migration.transforms:renamed")
    pairs = load_transform("tests.migration.transforms:Pairs")
    assert (False, True) == (function.merges, pairs.merges)
    assert "tests.migration.transforms:Pairs" == pairs.name
    assert function.fingerprint == pairs.fingerprint == Named(Pairs()).fingerprint
    assert load_transform(None).is_plain
    for spec in ("no.such.module:x", "tests.migration.transforms:nothing", "os:sep", "os"):
        with pytest.raises(InvalidTransform):
            load_transform(spec)


def _types(events: Sequence[RawEvent]) -> list[str]:
    return [one.type for one in events]


def test_what_waits_goes_before_what_comes_after_it_in_its_stream() -> None:
    """The order of a stream is never turned round."""
    events = [raw(2), raw(4), raw(5)]
    assert ["Ticked", "PairTicked"] == _types(stepped(Pairs(), events))
