"""store/corrupt-checkpoint: one that cannot be trusted stops its projection and is mended."""

from __future__ import annotations

import pytest

from goldseam import ANY, Goldseam
from goldseam.errors import CorruptCheckpoint
from tests.crashes.outside import query
from tests.projections.bank import Balances, DepositApplied, Movements

FORGED = "UPDATE goldseam_checkpoints SET position = 0 WHERE projection = 'movements'"


async def filled(url: str) -> None:
    async with Goldseam(url, [Balances(), Movements()]) as app:
        done = None
        for n in range(5):
            done = await app.store.append("account-1", [DepositApplied(n)], expected=ANY)
        assert done is not None
        for name in ("balances", "movements"):
            await app.fetch(name, "SELECT 1", after=done.token, wait=20)


async def test_a_checkpoint_that_was_set_back_is_not_believed(store_url: str) -> None:
    """Its checksum does not hold: reads are refused, nothing is applied twice, others go on."""
    await filled(store_url)
    query(store_url, FORGED)
    async with Goldseam(store_url, [Balances(), Movements()]) as app:
        with pytest.raises(CorruptCheckpoint, match="goldseam projections rebuild movements"):
            await app.fetch("movements", "SELECT 1")
        done = await app.store.append("account-1", [DepositApplied(9)], expected=ANY)
        rows = await app.fetch(
            "balances", "SELECT deposits FROM balances", after=done.token, wait=20
        )

    assert [(6,)] == rows
    assert [(5,)] == query(store_url, "SELECT count(*) FROM movements")


async def test_a_rebuild_mends_it(store_url: str) -> None:
    """The rows are made anew from the log, each event once."""
    await filled(store_url)
    query(store_url, FORGED)
    async with Goldseam(store_url, [Balances(), Movements()]) as app:
        await app.projections["movements"].rebuild()
        rows = await app.fetch("movements", "SELECT count(*) FROM movements", after=5, wait=20)

    assert [(5,)] == rows


async def test_control_without_the_checksum_every_event_is_applied_again(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The damage: a projection that believes the forged position doubles its rows."""
    from goldseam.projections import checkpoint

    await filled(store_url)
    query(store_url, FORGED)

    def believing(row: tuple[object, ...]) -> checkpoint.Checkpoint:
        names = checkpoint.Checkpoint.__struct_fields__
        return checkpoint.Checkpoint(**dict(zip(names, row[: len(names)], strict=True)))

    monkeypatch.setattr(checkpoint, "checked", believing)
    stored = "UPDATE goldseam_checkpoints SET checksum = ? WHERE projection = 'movements'"
    columns = ", ".join(checkpoint.Checkpoint.__struct_fields__)
    row = query(
        store_url, f"SELECT {columns} FROM goldseam_checkpoints WHERE projection = 'movements'"
    )[0]
    query(store_url, stored, believing(row).checksum())
    monkeypatch.undo()
    async with Goldseam(store_url, [Balances(), Movements()]) as app:
        rows = await app.fetch("movements", "SELECT count(*) FROM movements", after=5, wait=20)

    assert [(10,)] == rows
