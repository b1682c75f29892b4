"""Records as typed events: the quick way and the thorough way say the same."""

from __future__ import annotations

import pytest

from goldseam.broker.cloudevents import envelope_of
from goldseam.broker.record import Received
from goldseam.consumers.reading import ReadAs
from goldseam.consumers.usual import usual
from goldseam.consumers.why import described, reason_of
from goldseam.errors import UnreadableEvent
from goldseam.events.registry import registry
from tests.support.consumers import TOPIC, Balances, fact, received


@pytest.mark.parametrize("version", [1, 7, 123_456])
def test_the_quick_way_reads_what_the_thorough_way_reads(version: int) -> None:
    """Field by field, for the records that goldseam's relay writes."""
    record = received(fact("account-1", version, 5), 3)
    quick, thorough = usual(record), envelope_of(record)
    assert quick is not None
    for name in ("id_bytes", "type", "type_version", "stream", "version", "position", "payload"):
        assert getattr(thorough, name) == getattr(quick, name)
    assert thorough.recorded_us == quick.recorded_us


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_tenant", b"acme"),
        ("ce_specversion", b"0.3"),
        ("content-type", b"application/cloudevents+json"),
        ("ce_id", b"not-a-uuid"),
        ("ce_recordedtime", b"2023-11-14T22:13:20Z"),
        ("ce_streamversion", b"x"),
        ("ce_dataschema", b"urn:no-version"),
    ],
)
def test_what_looks_different_takes_the_thorough_way(name: str, value: bytes) -> None:
    """The quick way never guesses."""
    plain = received(fact("account-1", 1), 0)
    headers = tuple((n, value if n == name else v) for n, v in plain.headers)
    changed = Received(TOPIC, 0, 0, plain.key, plain.value, headers, 0)
    assert None is usual(changed)


async def test_a_tenant_is_part_of_key_and_sequence() -> None:
    """Two tenants' streams of one name are two sequences."""
    reading = ReadAs(Balances(), registry, None)
    (item,) = await reading.items([received(fact("account-1", 1, tenant="acme"), 0)])
    assert ("acme/account-1", "acme/account-1") == (item.key, item.sequence)
    assert "acme" == item.events[0].tenant


async def test_types_without_a_handler_are_no_work() -> None:
    """Not decoded, not remembered: only the offset moves."""
    plain = received(fact("account-1", 1), 0)
    headers = tuple((n, b"tests.Other" if n == "ce_type" else v) for n, v in plain.headers)
    other = Received(TOPIC, 0, 0, plain.key, b"nonsense", headers, 0)
    (item,) = await ReadAs(Balances(), registry, None).items([other])
    assert (False, None) == (item.wanted, item.error)


async def test_an_event_that_does_not_fit_its_class_is_held() -> None:
    """It is a letter with the reason schema, not a crash and not passed over."""
    plain = received(fact("account-1", 1), 0)
    wrong = Received(TOPIC, 0, 0, plain.key, b'{"amount":"much"}', plain.headers, 0)
    (item,) = await ReadAs(Balances(), registry, None).items([wrong])
    assert isinstance(item.error, UnreadableEvent)
    assert "schema" == reason_of(item.error)


async def test_reasons_say_no_values_of_the_event() -> None:
    """Letters are read by many; the amount is not among what they read."""
    (item,) = await ReadAs(Balances(), registry, None).items([received(fact("a", 1, 4_711), 0)])
    assert "no bank takes [...]" == described(ValueError("no bank takes 4711"), item.events)
    reasons = [reason_of(one) for one in (None, TimeoutError(), ValueError())]
    assert ["queued", "retries-exhausted", "poison"] == reasons
