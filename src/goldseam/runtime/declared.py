"""What an application was given, checked before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from goldseam.errors import GoldseamError, InvalidInput

ReadModels = str | Mapping[str, str]
"""One URL for all, or one for each by name."""


class Named(Protocol):
    """A projection, a consumer."""

    @property
    def name(self) -> str:
        """Its stable name."""
        ...


N = TypeVar("N", bound=Named)


def by_name(
    given: Sequence[N], what: str, error: type[GoldseamError] = InvalidInput
) -> dict[str, N]:
    """What was declared, by name.

    Raises:
        error: two have the same name.
    """
    found = {one.name: one for one in given}
    if len(found) != len(given):
        raise error(f"two {what}s have the same name; rename one of them")
    return found


def key_pair(keys: str | None, key_provider: str | None) -> tuple[str, str] | None:
    """Where the keys of personal data are and who wraps them; None: there are none.

    Raises:
        InvalidInput: one without the other.
    """
    if keys is None and key_provider is None:
        return None
    if keys is None or key_provider is None:
        raise InvalidInput(
            "personal data needs both: keys= (where the keys are stored) and key_provider= (who "
            "wraps them); give both or neither"
        )
    return keys, key_provider


def urls_of(
    declared: Mapping[str, object], given: ReadModels | None, argument: str, what: str
) -> Mapping[str, str]:
    """The URL of each that has one of its own.

    Raises:
        InvalidInput: a URL for something that was not declared.
    """
    if given is None:
        return {}
    if isinstance(given, str):
        return dict.fromkeys(declared, given)
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise InvalidInput(f"{argument} names {', '.join(unknown)}, which is no {what}")
    return given
