"""read/stale-read: a read with a position shows that write, waits for it, or says come back."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from goldseam import ANY, Goldseam, ReadModelBehind
from goldseam.errors import InvalidInput, InvalidPosition
from goldseam.events.positions import encode_token
from goldseam.telemetry.signals import signals
from tests.projections.bank import Balances, DepositApplied

READ = "SELECT balance FROM balances WHERE account = 'account-1'"


async def test_control_without_a_position_a_read_may_be_old_and_with_one_it_never_is(
    store_url: str,
) -> None:
    """The damage without the cure: the client's own deposit is missing. With it: told to wait."""
    async with Goldseam(store_url, [Balances()]) as app:
        hosted = app.projections["balances"]
        done = await app.store.append("account-1", [DepositApplied(5)], expected=ANY)
        await app.fetch("balances", READ, after=done.token, wait=20)
        await hosted.pause()
        done = await app.store.append("account-1", [DepositApplied(7)], expected=ANY)
        before = signals.value("goldseam_reads_behind_total", projection="balances")

        assert 5 == (await app.fetch("balances", READ))[0][0]  # the control: an old balance
        with pytest.raises(ReadModelBehind) as refused:
            await app.fetch("balances", READ, after=done.token)

        told = refused.value
        assert (1, 2) == (told.position, told.target)
        assert 1 <= told.retry_after_seconds <= 60
        assert told.retry_safe
        assert before + 1 == signals.value("goldseam_reads_behind_total", projection="balances")
        await hosted.resume()
        assert 12 == (await app.fetch("balances", READ, after=done.token, wait=20))[0][0]


async def test_a_waiting_read_is_answered_when_the_projection_gets_there(store_url: str) -> None:
    """Bounded long poll: woken by the commit, also of a runner in another application."""
    async with (
        Goldseam(store_url, [Balances()]) as runs,
        Goldseam(store_url, [Balances()], run=False) as reads,
    ):
        await runs.projections["balances"].pause()
        done = await reads.store.append("account-1", [DepositApplied(5)], expected=ANY)
        waiting = [
            asyncio.ensure_future(app.fetch("balances", READ, after=done.token, wait=25))
            for app in (runs, reads)
        ]
        await asyncio.sleep(0.2)
        assert [False, False] == [one.done() for one in waiting]
        await runs.projections["balances"].resume()
        assert [5, 5] == [rows[0][0] for rows in await asyncio.gather(*waiting)]


async def test_tokens_that_this_store_never_gave_out_are_refused(store_url: str) -> None:
    """Forged, negative, future, of another store, not a position: an error, never a wait."""
    async with Goldseam(store_url, [Balances()]) as app:
        done = await app.store.append("account-1", [DepositApplied(5)], expected=ANY)
        head, check, number = done.token.rsplit("-", 1)[0], done.token[-1], done.position
        bad: list[str | int] = [
            -1, number + 1, "-1", "x", "", "1.5", str(2**70),
            encode_token(uuid4(), number),
            f"{head}-{done.token.rsplit('-', 1)[1][:-1]}{'0' if check != '0' else '1'}",
            encode_token(app.store.store_id, number + 1),
        ]  # fmt: skip
        for token in bad:
            with pytest.raises(InvalidPosition):
                await app.fetch("balances", READ, after=token, wait=20)
        with pytest.raises(InvalidInput, match="wait"):
            await app.fetch("balances", READ, after=done.token, wait=-1)
        with pytest.raises(InvalidInput, match="wait"):
            await app.fetch("balances", READ, after=done.token, wait=float("nan"))


async def test_a_token_survives_a_rebuild_a_reset_and_going_back(store_url: str) -> None:
    """Whatever is done to the read model, an old token shows its write or is told to wait."""
    async with Goldseam(store_url, [Balances()]) as app:
        hosted = app.projections["balances"]
        done = await app.store.append("account-1", [DepositApplied(5)], expected=ANY)
        for change in (hosted.rebuild, hosted.rollback, hosted.reset, hosted.rebuild):
            await change()
            assert 5 == (await app.fetch("balances", READ, after=done.token, wait=20))[0][0]


async def test_an_answer_built_elsewhere_checks_the_generation_again(store_url: str) -> None:
    """``require`` before and ``standing`` after: a changed generation says 'not this answer'."""
    async with Goldseam(store_url, [Balances()]) as app:
        model = app.read_model("balances")
        done = await app.store.append("account-1", [DepositApplied(5)], expected=ANY)
        first = await model.require(done.token, wait=20)
        assert first.generation == (await model.standing()).generation
        await app.projections["balances"].reset()
        assert first.generation + 1 == (await model.standing()).generation
