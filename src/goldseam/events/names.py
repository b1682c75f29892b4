"""What may be a stream, a tenant, a key: checked once, where the name enters."""

from __future__ import annotations

from goldseam.errors import InvalidName

NAME_LENGTH_MAX = 255
"""Longest stream, tenant or projection name, in characters: fits every index of every back-end."""

KEY_LENGTH_MAX = 255
"""Longest idempotency key, in characters."""

DEFAULT_TENANT = "main"
"""The tenant of a store that does not speak of tenants."""

CATEGORY_SEPARATOR = "-"
"""Ends the category in a stream's name: ``account-123`` is of category ``account``."""


def checked_name(what: str, value: object, length_max: int = NAME_LENGTH_MAX) -> str:
    """``value`` as a name that every back-end can store and every log can show.

    Raises:
        InvalidName: empty, too long, or with control characters or lone surrogates.
    """
    if not isinstance(value, str) or not value:
        raise InvalidName(what, value, "it must be a text of at least one character")
    if len(value) > length_max:
        raise InvalidName(what, value, f"it is longer than {length_max} characters")
    if not value.isprintable():
        raise InvalidName(what, value, "it has characters that cannot be printed")
    return value


def stream_name(category: str, key: object) -> str:
    """``account`` and ``123`` make ``account-123``.

    Raises:
        InvalidName: the category is empty or has the separator in it.
    """
    if CATEGORY_SEPARATOR in category:
        raise InvalidName("category", category, f"it must not contain {CATEGORY_SEPARATOR!r}")
    return checked_name("stream", f"{checked_name('category', category)}{CATEGORY_SEPARATOR}{key}")


def category_of(stream: str) -> str:
    """The part of a stream's name before the first separator."""
    return stream.split(CATEGORY_SEPARATOR, 1)[0]
