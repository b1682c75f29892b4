"""Tokens name positions of one store only; categories end at the first hyphen."""

from __future__ import annotations

from uuid import UUID

import pytest

from goldseam.errors import InvalidPosition
from goldseam.events.names import category_of
from goldseam.events.positions import POSITION_MAX, encode_token, parse_token

STORE, OTHER = UUID(int=0x1234_5678 << 64 | 77), UUID(int=0x1234_5678 << 64 | 78)


@pytest.mark.parametrize("position", [0, 1, 41, 10**12, POSITION_MAX])
def test_a_token_means_its_position(position: int) -> None:
    """In the store that gave it out."""
    assert position == parse_token(encode_token(STORE, position), STORE)
    assert position == parse_token(str(position), STORE)


def test_a_token_of_another_store_is_refused() -> None:
    """Its position means something else there."""
    with pytest.raises(InvalidPosition, match="another store"):
        parse_token(encode_token(STORE, 41), OTHER)


@pytest.mark.parametrize("digit", "0123456789")
def test_a_changed_number_is_refused(digit: str) -> None:
    """The check at its end goes with the position."""
    mark, store, _, check = encode_token(STORE, 41).split("-")
    with pytest.raises(InvalidPosition, match="check"):
        parse_token(f"{mark}-{store}-{digit}9-{check}", STORE)


@pytest.mark.parametrize("token", ["", "-1", "1.5", "1e3", "\u0661", "x", "g1-2-3", "9" * 30])
def test_what_is_no_position_is_refused(token: str) -> None:
    """Negative, broken, other alphabets' digits, beyond every position."""
    with pytest.raises(InvalidPosition):
        parse_token(token, STORE)


@pytest.mark.parametrize(
    ("stream", "category"),
    [("account-1", "account"), ("account", "account"), ("a-b-c", "a"), ("-a", ""), ("a-", "a")],
)
def test_the_category_of_a_stream(stream: str, category: str) -> None:
    """Everything before the first hyphen; a name without one is its own category."""
    assert category == category_of(stream)
