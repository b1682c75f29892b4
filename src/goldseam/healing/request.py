"""What somebody asks to be corrected, and why: checked before anything is read."""

from __future__ import annotations

from collections.abc import Container, Mapping
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from goldseam.healing.errors import WrongValue

TEXT_LENGTH_MAX = 1_000
"""Longest reason, ticket or name of a person, in characters."""


class Typed(str):
    """A value as somebody typed it, on the command line or in a file."""

    __slots__ = ()


class Approval(NamedTuple):
    """Who proposed a correction, and who else approved it."""

    proposed_by: str
    approved_by: str


class Request(NamedTuple):
    """One correction as it is asked for."""

    event_id: UUID
    changes: Mapping[str, Any]
    reason: str
    ticket: str
    corrected_by: str
    key: str | None = None

    def fingerprint(self, personal: Container[str] = ()) -> bytes:
        """What a second use of the key must have in common with the first.

        Values of ``personal`` fields are left out: a hash of them would outlive their key.
        """
        values = {name: None if name in personal else value for name, value in self.changes.items()}
        content = [str(self.event_id), values, self.reason, self.ticket, self.corrected_by]
        return sha256(msgspec.json.encode(content, order="sorted", enc_hook=str)).digest()


def checked(request: Request) -> Request:
    """``request`` if it says what, why, where that is discussed, and who.

    Raises:
        WrongValue: something is empty or too long.
    """
    if not request.changes:
        raise WrongValue("set", "say at least one field and its right value")
    said = {
        "reason": request.reason, "ticket": request.ticket, "corrected_by": request.corrected_by
    }  # fmt: skip
    for name, text in said.items():
        if not text.strip() or len(text) > TEXT_LENGTH_MAX:
            raise WrongValue(name, f"it must be a text of 1 to {TEXT_LENGTH_MAX} characters")
    return request


def parsed_id(text: str) -> UUID:
    """The event id that ``text`` names.

    Raises:
        WrongValue: it is not an id.
    """
    try:
        return UUID(text)
    except ValueError:
        rule = "it must be an event's id, a UUID, as `goldseam stream read --json` shows it"
        raise WrongValue("event id", rule) from None
