"""Which fields of a stored event its class does not know, for each kind of event class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import attrs
import msgspec
import pydantic
import pytest

from goldseam import Personal, Registry
from goldseam.events.event import RawEvent
from goldseam.telemetry.signals import signals
from goldseam.versioning.upcasting import add_field, rename_field, upcaster
from goldseam.versioning.weak_schema import (
    FIELDS_MAX,
    DroppedFields,
    differences,
    unknown_fields,
    with_stand_ins,
)


class Line(msgspec.Struct, frozen=True, rename="camel"):
    article_number: str
    pieces: int = 1


class Ordered(msgspec.Struct, frozen=True, rename="camel"):
    order_id: str
    lines: list[Line]
    by_house: dict[str, Line] = {}
    gift: Line | None = None


@dataclass(frozen=True)
class LineData:
    article: str


@dataclass(frozen=True)
class OrderedData:
    order: str
    lines: list[LineData]


@attrs.frozen
class OrderedAttrs:
    order: str
    line: LineData | None = None


class LineModel(pydantic.BaseModel):
    article: str


class OrderedModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(serialize_by_alias=True)
    order: str = pydantic.Field(alias="orderId")
    lines: list[LineModel] = []
    gift: LineModel | None = None


class Kept(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    order: str


class Paid(msgspec.Struct, frozen=True, tag="paid", tag_field="how"):
    amount: int


class Owed(msgspec.Struct, frozen=True, tag="owed", tag_field="how"):
    amount: int
    until: str


class Settled(msgspec.Struct, frozen=True):
    how: Paid | Owed


class Row(msgspec.Struct, frozen=True, array_like=True):
    a: int


def kind_of(kind: type, name: str = "Ordered") -> Any:
    return Registry().register(kind, name=name)


@pytest.mark.parametrize(
    ("kind", "fields", "unknown"),
    [
        (Ordered, {"orderId": "1", "lines": []}, ()),
        (Ordered, {"order_id": "1", "lines": []}, ("order_id",)),
        (
            Ordered,
            {"orderId": "1", "lines": [{"articleNumber": "a"}, {"articleNumber": "b", "x": 1}]},
            ("lines.x",),
        ),
        (Ordered, {"byHouse": {"7b": {"articleNumber": "a", "y": 1}}}, ("byHouse.*.y",)),
        (Ordered, {"gift": {"z": 1, "articleNumber": "a"}, "w": 0}, ("gift.z", "w")),
        (Ordered, {"gift": None}, ()),
        (OrderedData, {"order": "1", "lines": [{"article": "a", "n": 1}], "by": 2},
         ("by", "lines.n")),
        (OrderedAttrs, {"order": "1", "line": {"article": "a", "n": 1}, "by": 2},
         ("by", "line.n")),
        (OrderedModel, {"orderId": "1", "lines": [{"article": "a", "n": 1}], "order": "1"},
         ("lines.n", "order")),
        (OrderedModel, {"orderId": "1", "gift": {"article": "a", "n": 1}}, ("gift.n",)),
        (Kept, {"order": "1", "anything": {"at": "all"}}, ()),
        (Settled, {"how": {"how": "paid", "amount": 1, "until": "x"}}, ("how.until",)),
        (Settled, {"how": {"how": "owed", "amount": 1, "until": "x"}}, ()),
        (Row, [1, 2, 3], ()),
    ],
)  # fmt: skip
def test_what_a_class_does_not_know_has_a_path(
    kind: type, fields: Any, unknown: Sequence[str]
) -> None:
    """Dotted JSON names; lists add none, values of free mappings are a star."""
    assert tuple(sorted(unknown)) == unknown_fields(kind_of(kind), fields)


@pytest.mark.parametrize("kind", [Ordered, OrderedData, OrderedAttrs, OrderedModel, Settled])
def test_what_a_class_wrote_it_knows(kind: type) -> None:
    """No false alarm: an event read back by its own class drops nothing."""
    made = {
        Ordered: Ordered("1", [Line("a")], {"7b": Line("b")}, Line("c")),
        OrderedData: OrderedData("1", [LineData("a")]),
        OrderedAttrs: OrderedAttrs("1", LineData("a")),
        OrderedModel: OrderedModel(orderId="1", gift=LineModel(article="a")),
        Settled: Settled(Owed(1, "x")),
    }[kind]
    event_type = kind_of(kind)

    assert ((), ()) == differences(event_type, msgspec.json.decode(event_type.encode(made)))


def test_a_renamed_field_is_dropped_and_missing() -> None:
    """Both halves of a rename show, so that nobody takes it for a dropped field."""
    found = differences(kind_of(Ordered), {"number": "1", "lines": []})

    assert ("number",) == found.unknown
    assert {"orderId", "byHouse", "gift"} == set(found.missing)


def raw(position: int, name: str, version: int, fields: Any) -> RawEvent:
    payload = msgspec.json.encode(fields)
    return RawEvent(position, "main", "s-1", position, name, version, payload, 0, b"\0" * 16, b"{}")


def today() -> Registry:
    bank = Registry()

    @bank.event(name="DepositApplied", version=2)
    class DepositApplied:
        total: int
        currency: str = "EUR"

    upcaster("DepositApplied", 1, registry=bank)(rename_field("amount", "total"))
    return bank


def test_events_are_upcast_before_they_are_judged() -> None:
    """A field that an upcaster renames is not dropped; one it leaves is."""
    dropped = DroppedFields(today())
    before = signals.value("goldseam_fields_dropped_total", type="DepositApplied")
    dropped.add([
        raw(1, "DepositApplied", 1, {"amount": 5}),
        raw(2, "DepositApplied", 1, {"amount": 5, "teller": "a"}),
        raw(3, "DepositApplied", 2, {"amount": 5, "currency": "USD"}),
        raw(4, "DepositApplied", 1, {"amount": 5, "branch": "a"}),
        raw(5, "Nobody", 1, {"x": 1}),
    ])  # fmt: skip

    first, second = dropped.report()
    assert (("DepositApplied", 1), {"teller", "branch"}, 2, 4) == (
        (first.type, first.type_version), first.fields, first.events, first.newest_position
    )  # fmt: skip
    assert {"currency"} == first.missing
    assert (2, {"amount"}, {"total"}) == (second.type_version, second.fields, second.missing)
    assert 5 == dropped.looked_at
    assert before + 3 == signals.value("goldseam_fields_dropped_total", type="DepositApplied")


def test_an_upcaster_that_fails_is_not_a_dropped_field() -> None:
    """The report goes on past what cannot be upcast: the gate says that elsewhere."""
    bank = today()
    bank.upcasters["DepositApplied", 1] = lambda fields: fields["absent"]
    dropped = DroppedFields(bank)
    dropped.add([raw(1, "DepositApplied", 1, {"amount": 5}),
                 raw(2, "DepositApplied", 2, {"total": 5, "x": 1})])  # fmt: skip

    assert [{"x"}] == [one.fields for one in dropped.report()]


def test_keys_that_are_data_do_not_fill_the_report() -> None:
    """It is bounded, however many names there are."""
    dropped = DroppedFields(today())
    dropped.add([raw(1, "DepositApplied", 2, {f"k{n}": n for n in range(FIELDS_MAX * 2)})])

    assert FIELDS_MAX == len(dropped.report()[0].fields)


def test_sealed_values_are_read_as_stand_ins() -> None:
    """What is inside a sealed value is not taken for fields; upcasters meet plain values."""
    bank = Registry()

    @bank.event(name="Opened", version=2)
    class Opened:
        owner: str
        email: Annotated[str, Personal("owner")]
        language: str

    upcaster("Opened", 1, registry=bank)(add_field("language", "en"))
    sealed = {"$sealed": {"s": "7", "k": 1, "c": "AAAA", "t": "str"}}
    dropped = DroppedFields(bank)
    dropped.add([raw(1, "Opened", 1, {"owner": "7", "email": sealed, "phone": sealed})])

    assert [{"phone"}] == [one.fields for one in dropped.report()]
    assert {"a": "[forgotten]", "b": [1984]} == with_stand_ins(
        {"a": sealed, "b": [{"$sealed": {"s": "7", "k": 1, "c": "AAAA", "p": 1984}}]}
    )
