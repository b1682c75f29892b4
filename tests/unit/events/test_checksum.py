"""Checksums and chains: each input matters, and a chain allows exactly what was appended."""

from __future__ import annotations

import pytest

from goldseam.events.checksum import (
    ChainWalk,
    StreamSeeds,
    chain,
    content_checksum,
    content_digest,
    link,
    place_bytes,
    placed_checksum,
    stream_seed,
)

WRITTEN = (stream_seed("main", "tick-1"), 77, b"i" * 16, 1_000, b"{}", b'{"n":1}')


@pytest.mark.parametrize(
    ("which", "other"),
    [(0, stream_seed("acme", "tick-1")), (1, 78), (2, b"j" * 16), (3, 1_001), (4, b"[]"),
     (5, b'{"n":2}')],
)  # fmt: skip
def test_every_part_of_an_event_is_in_its_checksum(which: int, other: object) -> None:
    """Stream and tenant, type, id, time, metadata, payload."""
    changed = [*WRITTEN]
    changed[which] = other
    assert content_checksum(*WRITTEN) != content_checksum(*changed)  # type: ignore[arg-type]


def test_the_same_content_elsewhere_has_another_checksum() -> None:
    """Version and position are bound in."""
    content = content_checksum(*WRITTEN)
    assert 3 == len({placed_checksum(content, *at) for at in ((1, 8), (2, 8), (1, 9))})


def test_remembered_seeds_are_those_of_the_tenant() -> None:
    """The cache changes nothing."""
    seeds = StreamSeeds("acme")
    assert [stream_seed("acme", "tick-1")] * 2 == [seeds["tick-1"], seeds["tick-1"]]


def digests(count: int) -> list[bytes]:
    place = place_bytes("main", "tick-1", "Ticked", 1)
    return [content_digest(place, bytes([n]) * 16, n, b"", b"x") for n in range(count)]


def chained(appends: list[list[bytes]]) -> list[bytes]:
    """The stored chain values of appends that follow one another."""
    stored, head = [], b""
    for append in appends:
        last, values = b"", []
        for digest in append:
            last = link(last, digest)
            values.append(chain(head, last))
        stored += values
        head = values[-1]
    return stored


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [4], [2, 2], [1, 3], [3, 1]])
def test_a_chain_holds_however_events_were_grouped(sizes: list[int]) -> None:
    """One append or several: the walk accepts what was stored."""
    events, appends, at = digests(4), [], 0
    for size in sizes:
        appends.append(events[at : at + size])
        at += size
    walk = ChainWalk()
    pairs = zip(events, chained(appends), strict=True)
    assert [True] * 4 == [walk.accepts(*pair) for pair in pairs]


def test_an_exchanged_event_breaks_the_chain_there() -> None:
    """And an order of its own does too."""
    events = digests(4)
    stored = chained([[one] for one in events])
    forged = [events[0], digests(6)[5], *events[2:]]
    walk = ChainWalk()
    assert [True, False] == [walk.accepts(*one) for one in zip(forged[:2], stored[:2], strict=True)]
    walk = ChainWalk()
    assert not walk.accepts(events[1], stored[0])
