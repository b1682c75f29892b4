"""Sagas as pictures: well-formed, complete, with hostile names shown as text."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from goldseam.sagas import diagram
from goldseam.sagas.diagram import Looks
from tests.support.fulfilment import Asked, Called, Reacting


def texts(svg: str) -> list[str]:
    """The words of a picture."""
    root = ET.fromstring(svg)
    return [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_every_step_and_compensation_is_there() -> None:
    """In Mermaid and in SVG."""
    text, words = diagram.mermaid(Called()), texts(diagram.svg(Called()))
    for name in ("reserve", "charge", "tell", "release", "refund", "completed", "compensated"):
        assert name in words
        assert f"[{name}]" in text or f'["{name}"]' in text
    assert "undo_charge --> undo_reserve" in text
    assert "undo_tell" not in text


def test_a_sagas_own_way_is_marked() -> None:
    """What is done, what is at work, what is parked."""
    looks = Looks({"reserve": "done"}, {"reserve": "parked"})
    text, svg = diagram.mermaid(Called(), looks), diagram.svg(Called(), looks)
    assert "class reserve done" in text
    assert "class undo_reserve parked" in text
    assert "#f6c6c6" in svg


def test_a_flow_shows_who_reacts_to_what() -> None:
    """Its ends are round, what was seen is marked."""
    seen = frozenset({"InventoryReserved"})
    text, svg = diagram.mermaid_of_flow(Reacting(), seen), diagram.svg_of_flow(Reacting(), seen)
    assert "InventoryReserved --> PaymentFailed" in text
    assert "PaymentProcessed([PaymentProcessed])" in text
    assert "class InventoryReserved done" in text
    assert sorted(texts(svg)) == sorted(kind.__name__ for kind in Reacting().kinds)


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "a & b"])
def test_hostile_names_are_text(hostile: str) -> None:
    """A picture in a page runs nothing."""
    saga = Asked()
    saga.name = hostile  # type: ignore[misc]
    svg = diagram.svg(saga)
    assert "<script" not in svg
    ET.fromstring(svg)
