"""Asking for redrives: whole sequences, a preview, a loop guard, an audit."""

from __future__ import annotations

import pytest

from goldseam.consumers.dead_letters import actions
from goldseam.consumers.dead_letters.choice import Choice, groups, listed
from goldseam.consumers.dead_letters.errors import LetterGone, NotTheFirst, Quarantined
from goldseam.consumers.dead_letters.letter import fingerprint_of, innermost_frame
from goldseam.consumers.dead_letters.redrive import discard, redrive, redrive_letter
from goldseam.consumers.dead_letters.store import REDRIVES_MAX, due, resolved
from goldseam.errors import InvalidInput
from tests.unit.dead_letters.made import CONSUMER, ORDER, TRACE, letter, parked, queued, tables

ALL = Choice(consumer=CONSUMER)


async def test_a_dry_run_counts_and_changes_nothing(store_url: str) -> None:
    """What would be redriven, by reason; afterwards nothing is due and nothing is written down."""
    async with tables(store_url) as database:
        await parked(database, letter(1), queued(2), queued(3), letter(4, "b", reason="schema"))
        seen = await database.transact(lambda c: redrive(c, ALL, ORDER, dry_run=True))
        assert {"queued": 2, "poison": 1, "schema": 1} == seen.reasons
        assert (2, 4, None) == (seen.sequences, seen.letters, seen.action)
        assert [] == await database.read(lambda c: due(c, CONSUMER, 9))
        assert [] == await database.read(actions.listed)
        asked = await database.transact(lambda c: redrive(c, ALL, ORDER))
        assert (seen.reasons, seen.letters) == (asked.reasons, asked.letters)


async def test_a_filter_means_whole_sequences_by_their_first_letter(store_url: str) -> None:
    """Redriving one cause takes what waits behind it, and no other sequence."""
    async with tables(store_url) as database:
        await parked(
            database, letter(1), queued(2), letter(3, "b", error_class="KeyError"), queued(4, "b")
        )
        chosen = Choice(consumer=CONSUMER, error_class="KeyError")
        await database.transact(lambda c: redrive(c, chosen, ORDER))
        found = await database.read(lambda c: due(c, CONSUMER, 9))
        assert [3, 4] == [one.offset for one in found]


async def test_asking_twice_is_asking_once(store_url: str) -> None:
    """Two operators who press the button do not double anything; both are in the audit."""
    async with tables(store_url) as database:
        await parked(database, letter(1), queued(2))
        for _ in range(2):
            await database.transact(lambda c: redrive(c, ALL, ORDER))
        assert 2 == len(await database.read(lambda c: due(c, CONSUMER, 9)))
        assert 2 == len(await database.read(actions.listed))


async def test_at_most_so_many_are_asked_for_from_the_first_on(store_url: str) -> None:
    """A cut never leaves a hole in a sequence."""
    async with tables(store_url) as database:
        await parked(database, letter(1), queued(2), queued(3), letter(4, "b"))
        asked = await database.transact(lambda c: redrive(c, ALL, ORDER, most=2))
        assert (2, 1) == (asked.letters, asked.sequences)
        found = await database.read(lambda c: due(c, CONSUMER, 9))
        assert [1, 2] == [one.offset for one in found]


async def test_what_is_quarantined_wants_force(store_url: str) -> None:
    """The loop guard refuses, leaves other sequences free, and gives way to force."""
    async with tables(store_url) as database:
        first, *_ = await parked(database, letter(1), queued(2))
        for n in range(REDRIVES_MAX):
            await database.transact(lambda c, n=n: resolved(c, first, "failed", n, "E", ""))
        with pytest.raises(Quarantined, match="--force"):
            await database.transact(lambda c: redrive(c, ALL, ORDER))
        await parked(database, letter(5, "b"))
        asked = await database.transact(lambda c: redrive(c, ALL, ORDER))
        assert (1, 1) == (asked.sequences, asked.quarantined)
        forced = await database.transact(lambda c: redrive(c, ALL, ORDER, force=True))
        assert (2, 3) == (forced.sequences, forced.letters)


async def test_only_the_first_of_a_sequence_can_be_asked_for_alone(store_url: str) -> None:
    """A letter in the middle would overtake the one in front."""
    async with tables(store_url) as database:
        first, second = await parked(database, letter(1), queued(2))
        with pytest.raises(NotTheFirst, match=f"behind {first.id} "):
            await database.transact(lambda c: redrive_letter(c, second.id, ORDER))
        asked = await database.transact(lambda c: redrive_letter(c, first.id, ORDER))
        assert 2 == asked.letters
        await database.transact(lambda c: resolved(c, first, "applied", 9))
        with pytest.raises(LetterGone):
            await database.transact(lambda c: redrive_letter(c, first.id, ORDER))


async def test_who_and_why_are_kept_with_each_letter(store_url: str) -> None:
    """The audit names the person, the reason, the filter and the letters."""
    async with tables(store_url) as database:
        first, second = await parked(database, letter(1), queued(2))
        await database.transact(lambda c: redrive(c, ALL, ORDER))
        await database.transact(lambda c: discard(c, ALL, ORDER, letters=[second.id]))
        done = await database.read(lambda c: actions.of_letter(c, second.id))
        assert [("redrive", "ann", "mended in 1.2", 2), ("discard", "ann", "mended in 1.2", 1)] == [
            (one.what, one.who, one.why, one.letters) for one in done
        ]
        assert '{"consumer":"billing"}' == done[0].chosen
        assert 1 == len(await database.read(lambda c: actions.of_letter(c, first.id)))
    with pytest.raises(InvalidInput, match="say why"):
        actions.Order("ann", " ", 1)


async def test_letters_are_grouped_by_cause(store_url: str) -> None:
    """One error in one function about one type is one group; what waits behind is counted."""
    async with tables(store_url) as database:
        await parked(
            database, letter(1), queued(2), letter(3, "b", trace=TRACE.replace("12", "99")),
            letter(4, "c", type="OrderPaid"), queued(5, "c"), queued(6, "c"),
        )  # fmt: skip
        found = await database.read(lambda c: groups(c, ALL))
        assert [("OrderPlaced", 2, 1), ("OrderPaid", 1, 2)] == [
            (one.type, one.letters, one.behind) for one in found
        ]
        assert "shop/billing.py:charge" == found[0].frame
        only = Choice(consumer=CONSUMER, fingerprint=found[1].fingerprint)
        assert [4] == [one.offset for one in await database.read(lambda c: listed(c, only))]


async def test_filters_find_what_they_say(store_url: str) -> None:
    """Type, class, text, stream, reason and time; a percent sign in a text is a percent sign."""
    async with tables(store_url) as database:
        await parked(
            database, letter(1), letter(2, "b", type="T"), letter(3, "c", error="50% off"),
            letter(4, "d", reason="schema"), letter(5, "e", error_class="KeyError"),
        )  # fmt: skip
        for wanted, offsets in (
            (Choice(type="T"), [2]),
            (Choice(contains="50% OFF"), [3]),
            (Choice(contains="%"), [3]),
            (Choice(reason="schema"), [4]),
            (Choice(error_class="KeyError"), [5]),
            (Choice(sequence="a"), [1]),
            (Choice(since_us=202, until_us=204), [2, 3]),
            (Choice(state="due"), []),
        ):
            found = await database.read(lambda c, wanted=wanted: listed(c, wanted))
            assert offsets == [one.offset for one in found]


def test_a_fingerprint_outlives_a_release_that_moves_lines() -> None:
    """The same function with the same error is the same cause, wherever it is installed."""
    moved = TRACE.replace("line 12", "line 40").replace("/srv/app/shop", "/opt/v2/shop")
    assert fingerprint_of("E", TRACE, "T") == fingerprint_of("E", moved, "T")
    assert fingerprint_of("E", TRACE, "T") != fingerprint_of("E", TRACE, "U")
    assert "" == fingerprint_of("", "", "T")
    libraries_only = TRACE.replace("/srv/app", "/x/site-packages")
    assert "python3.11/decimal.py:quantize" == innermost_frame(libraries_only)
