"""Letters are kept once, in the order of their sequence, and within bounds."""

from __future__ import annotations

import pytest

from goldseam.consumers.dead_letters.choice import Choice, listed
from goldseam.consumers.dead_letters.errors import DeadLettersFull, LetterGone
from goldseam.consumers.dead_letters.redrive import discard, redrive
from goldseam.consumers.dead_letters.store import (
    REDRIVES_MAX,
    Bounds,
    counts,
    due,
    park,
    resolved,
    stopped,
)
from goldseam.database.connection import Connection, Database
from tests.unit.dead_letters.made import CONSUMER, ORDER, letter, parked, queued, tables

ALL = Choice(consumer=CONSUMER)


async def due_now(database: Database, now_us: int = 10**18) -> list[tuple[str, int]]:
    found = await database.read(lambda c: due(c, CONSUMER, 100, now_us=now_us))
    return [(one.sequence, one.offset) for one in found]


async def test_a_letter_parked_twice_is_one_letter(store_url: str) -> None:
    """A batch that is delivered again after a crash adds nothing."""
    async with tables(store_url) as database:
        await parked(database, letter(5), queued(6))
        found = await parked(database, letter(5), queued(6), queued(7))
        assert [5, 6, 7] == [one.offset for one in found]
        assert frozenset({"a"}) == await database.read(lambda c: stopped(c, CONSUMER))
        assert (1, 3) == (await database.read(lambda c: counts(c, CONSUMER)))[:2]


async def test_the_record_comes_back_byte_for_byte(store_url: str) -> None:
    """Key, value, headers that repeat, and the time are what the topic had."""
    one = letter(5, key=None, value=b"\x00\xfe", headers=(("x", b""), ("x", b"\xff")))
    async with tables(store_url) as database:
        assert one.record == (await parked(database, one))[0].record


async def test_letters_are_due_in_the_order_of_their_offsets(store_url: str) -> None:
    """A record that was before a letter parked by hand is redriven before it."""
    async with tables(store_url) as database:
        await parked(database, letter(5), letter(9, "b"))
        await parked(database, queued(3), queued(7), queued(4, partition=1))
        await database.transact(lambda c: redrive(c, ALL, ORDER))
        expected = [("a", 3), ("a", 5), ("a", 7), ("a", 4), ("b", 9)]
        assert expected == await due_now(database)


async def test_nothing_overtakes_a_letter_that_is_not_due(store_url: str) -> None:
    """A rate spreads letters over time; the next one never comes before the one in front."""
    async with tables(store_url) as database:
        await parked(database, letter(5), queued(6), queued(7))
        await database.transact(lambda c: redrive(c, ALL, ORDER, rate=2.0))
        assert [("a", 5)] == await due_now(database, 1_000)
        assert [("a", 5), ("a", 6)] == await due_now(database, 501_000)
        await database.transact(
            lambda c: c.fetch(
                "UPDATE goldseam_dead_letters SET due_us = 900000 WHERE record_offset = 5"
            )
        )
        assert [] == await due_now(database, 501_000)


async def test_a_failed_redrive_stops_the_sequence_again(store_url: str) -> None:
    """What is behind the letter that failed waits until it is asked for once more."""
    async with tables(store_url) as database:
        await parked(database, letter(5), queued(6), queued(7))
        await database.transact(lambda c: redrive(c, ALL, ORDER))
        first, second, _ = await database.read(lambda c: due(c, CONSUMER, 9))
        await database.transact(lambda c: resolved(c, first, "applied", 300))
        await database.transact(lambda c: resolved(c, second, "failed", 301, "KeyError", "no"))
        assert [] == await due_now(database)
        found = await database.read(lambda c: listed(c, ALL))
        assert [(6, "poison", "KeyError", 1), (7, "queued", "", 0)] == [
            (one.offset, one.reason, one.error_class, one.redrive_count) for one in found
        ]


async def test_what_queues_behind_a_letter_that_is_due_is_due_too(store_url: str) -> None:
    """A busy stream that is redriven does not stay stopped for ever."""
    async with tables(store_url) as database:
        await parked(database, letter(5))
        await database.transact(lambda c: redrive(c, ALL, ORDER))
        await parked(database, queued(6))
        assert [("a", 5), ("a", 6)] == await due_now(database)
        await parked(database, letter(8, "b"), queued(9, "b"))
        assert [("a", 5), ("a", 6)] == await due_now(database)


async def test_what_queues_behind_nothing_any_more_is_due_at_once(store_url: str) -> None:
    """The letter in front was discarded while the batch was on its way."""
    async with tables(store_url) as database:
        await parked(database, queued(6))
        assert [("a", 6)] == await due_now(database)


async def test_a_letter_is_resolved_once(store_url: str) -> None:
    """The second of two redrives of one letter is rolled back with its effect."""
    async with tables(store_url) as database:
        (one,) = await parked(database, letter(5))
        await database.transact(lambda c: c.fetch("CREATE TABLE effects (n INTEGER)"))

        async def effect(connection: Connection) -> None:
            await connection.fetch("INSERT INTO effects VALUES (1)")
            await resolved(connection, one, "applied", 300)

        await database.transact(effect)
        with pytest.raises(LetterGone, match="not waiting any more"):
            await database.transact(effect)
        assert [(1,)] == [tuple(r) for r in await database.fetch("SELECT count(*) FROM effects")]
        assert frozenset() == await database.read(lambda c: stopped(c, CONSUMER))


async def test_a_resolved_letter_that_fails_anew_is_parked_anew(store_url: str) -> None:
    """After a reset to the oldest record nothing is lost because it was a letter once."""
    async with tables(store_url) as database:
        (one,) = await parked(database, letter(5))
        await database.transact(lambda c: resolved(c, one, "applied", 300))
        (again,) = await parked(database, letter(5))
        assert (one.id, "waiting", 0) == (again.id, again.state, again.resolved_us)


async def test_a_letter_that_fails_too_often_is_quarantined(store_url: str) -> None:
    """A redrive that changes nothing is not repeated for ever."""
    async with tables(store_url) as database:
        (one,) = await parked(database, letter(5))
        for n in range(REDRIVES_MAX):
            await database.transact(lambda c, n=n: resolved(c, one, "failed", n, "KeyError", ""))
        (held,) = await database.read(lambda c: listed(c, ALL))
        assert ("quarantined", REDRIVES_MAX) == (held.state, held.redrive_count)
        assert frozenset({"a"}) == await database.read(lambda c: stopped(c, CONSUMER))


@pytest.mark.parametrize(
    ("bounds", "what"),
    [
        (Bounds(sequences=1), "sequences"),
        (Bounds(sequence_letters=2), "letters of one sequence"),
        (Bounds(letters_bytes=100), "bytes"),
    ],
)
async def test_what_is_beyond_a_bound_is_refused_whole(
    store_url: str, bounds: Bounds, what: str
) -> None:
    """The batch rolls back: the consumer stops loudly instead of losing or growing."""
    letters = [letter(1), queued(2), queued(3), letter(4, "b")]
    async with tables(store_url) as database:
        with pytest.raises(DeadLettersFull) as refused:
            await database.transact(lambda c: park(c, letters, bounds))
        assert what == refused.value.what
        assert (0, 0, 0) == await database.read(lambda c: counts(c, CONSUMER))
        assert [] == await database.read(lambda c: listed(c, ALL))


async def test_the_sequence_flows_when_its_last_letter_is_discarded(store_url: str) -> None:
    """Discarding the first leaves the rest in place; discarding all lets the stream go on."""
    async with tables(store_url) as database:
        first, second = await parked(database, letter(5), queued(6))
        done = await database.transact(lambda c: discard(c, ALL, ORDER, letters=[first.id]))
        assert (1, (second.id,)) == (done.letters, done.next_letters)
        assert frozenset({"a"}) == await database.read(lambda c: stopped(c, CONSUMER))
        await database.transact(lambda c: discard(c, ALL, ORDER, letters=[second.id]))
        assert frozenset() == await database.read(lambda c: stopped(c, CONSUMER))
