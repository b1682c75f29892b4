"""Load the catalogue once, when first asked, and find one entry by its slug."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from goldseam.failures.entry import SIDES, Failure

NEAREST_MAX: Final = 3
"""At most this many slugs are offered for a mistyped one: more is no longer a hint."""

NEAREST_CUTOFF: Final = 0.5
"""How alike a slug must be (0 to 1) to be offered; half also finds a forgotten side."""


class UnknownFailure(LookupError):
    """No failure has this slug; ``nearest`` holds those that are spelled alike, best first."""

    def __init__(self, slug: str, nearest: tuple[str, ...]) -> None:
        self.slug, self.nearest = slug, nearest
        hint = (
            f"did you mean {' or '.join(nearest)}?" if nearest else "see `goldseam failures list`"
        )
        super().__init__(f"no failure has the slug {slug[:80]!r}; {hint}")


@cache
def catalogue() -> Mapping[str, Failure]:
    """Return every entry of the catalogue by slug, read-only, in the order of the guide.

    Raises ValueError when a file of the catalogue is malformed.
    """
    import tomllib
    from importlib.resources import files

    folder = files("goldseam.failures") / "catalogue"
    entries: dict[str, Failure] = {}
    for side in SIDES:
        source = f"{side}.toml"
        rows = tomllib.loads((folder / source).read_text(encoding="utf-8"))
        for slug, row in rows.items():
            entry = _entry(slug, row, source)
            if entry.side != side:
                raise ValueError(f"{source}: {slug!r} belongs into {entry.side}.toml")
            entries[slug] = entry
    return MappingProxyType(entries)


def find(slug: str) -> Failure:
    """Return the entry of ``slug``; raise UnknownFailure, with hints, when there is none."""
    entries = catalogue()
    if slug in entries:
        return entries[slug]
    raise UnknownFailure(slug, _nearest(slug, entries))


def _entry(slug: str, row: Mapping[str, Any], source: str) -> Failure:
    try:
        return Failure(slug=slug, **row)
    except TypeError as error:
        raise ValueError(f"{source}: {slug!r}: {error}") from error


def _nearest(slug: str, slugs: Iterable[str]) -> tuple[str, ...]:
    from difflib import SequenceMatcher

    wanted = slug.lower().replace("_", "-")

    def likeness(candidate: str) -> float:
        name = candidate.partition("/")[2]
        tries = (candidate, name, candidate.replace("/", "-"))
        return max(SequenceMatcher(None, wanted, spelling).ratio() for spelling in tries)

    ranked = sorted(((likeness(one), one) for one in slugs), key=lambda pair: (-pair[0], pair[1]))
    return tuple(one for ratio, one in ranked[:NEAREST_MAX] if ratio >= NEAREST_CUTOFF)
