"""Sealed values open only under their own event id and field: a transform must not move them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from goldseam.events.event import RawEvent
from goldseam.events.personal import SEAL
from goldseam.migration.errors import SealedFieldMoved

_MARK = SEAL.decode().strip('"')

Place = tuple[bytes, str, bytes]
"""Event id, dotted path, and the sealed value itself."""


def refuse_moved(name: str, origins: Sequence[RawEvent], made: RawEvent) -> None:
    """Do nothing, if every sealed value of ``made`` stood there in one of ``origins``.

    Raises:
        SealedFieldMoved: it stood elsewhere, and could never be opened again.
    """
    if SEAL not in made.payload:
        return
    allowed = {place for one in origins for place in _places(one)}
    for place in _places(made):
        if place not in allowed:
            raise SealedFieldMoved(name, str(UUID(bytes=made.id_bytes)), place[1])


def _places(one: RawEvent) -> Iterator[Place]:
    if SEAL in one.payload:
        for path, value in _walk(msgspec.json.decode(one.payload), ""):
            yield one.id_bytes, path, msgspec.json.encode(value, order="sorted")


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        if _MARK in value:
            yield path, value
            return
        for key, inner in value.items():
            yield from _walk(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _walk(inner, f"{path}.{number}" if path else str(number))
