"""Personal data moves as it is sealed: the same keys open it, and forgetting reaches the copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest

from goldseam import ANY, Personal, Registry, open_store, open_vault
from goldseam.migration.errors import SealedFieldMoved
from goldseam.migration.migration import Migration
from goldseam.migration.transform import Fact
from tests.crashes.outside import query
from tests.migration.conftest import Pair, pair

__all__ = ["pair"]

before, after = Registry(), Registry()


@before.event(name="CustomerSignedUp")
class CustomerSignedUp:
    customer_id: str
    name: Annotated[str, Personal("customer_id")]


@after.event(name="CustomerRegistered", version=2)
class CustomerRegistered:
    customer_id: str
    name: Annotated[str, Personal("customer_id")]
    plan: str


def renamed(fact: Fact) -> Fact:
    fields = {**fact.fields, "plan": "free"}
    stream = f"customer-{fact.stream.partition('-')[2]}"
    return fact.but(type="CustomerRegistered", type_version=2, fields=fields, stream=stream)


async def test_sealed_fields_open_in_the_new_store_and_are_forgotten_there(
    pair: Pair, tmp_path: Path
) -> None:
    """The migration has no keys; type, stream and other fields change around the sealed one."""
    vault = await open_vault(f"sqlite:///{tmp_path}/keys.db", f"file://{tmp_path}/epochs")
    try:
        async with await open_store(pair.source, registry=before, vault=vault) as source:
            for n in range(20):
                event = CustomerSignedUp(f"c-{n}", f"Ann Marker {n}")
                await source.append(f"signup-{n}", [event], expected=ANY)
        async with (
            await open_store(pair.source, registry=Registry()) as source,
            await open_store(pair.target, registry=Registry()) as target,
        ):
            migration = Migration(source, target, renamed)
            await migration.cutover()
            assert (await migration.verify()).ok
        async with await open_store(pair.target, registry=after, vault=vault) as target:
            names = [event.data.name for event in await target.read_all()]
            await vault.forget("main", "c-7", "asked for it")
            (forgotten,) = await target.read_stream("customer-7")
    finally:
        await vault.close()

    assert [f"Ann Marker {n}" for n in range(20)] == names
    assert ("name",) == forgotten.shredded
    assert ("c-7", "free") == (forgotten.data.customer_id, forgotten.data.plan)
    payloads = b"".join(
        bytes(row[0]) for row in query(pair.target, "SELECT payload FROM goldseam_events")
    )
    assert b"Marker" not in payloads


async def test_control_a_sealed_field_under_another_name_is_refused_before_it_is_lost(
    pair: Pair, tmp_path: Path
) -> None:
    """Nothing of the page is copied: in the target nobody could ever have opened it."""
    vault = await open_vault(f"sqlite:///{tmp_path}/keys.db", f"file://{tmp_path}/epochs")
    try:
        async with await open_store(pair.source, registry=before, vault=vault) as source:
            event = CustomerSignedUp("c-1", "Ann Marker")
            await source.append("signup-1", [event], expected=ANY)
    finally:
        await vault.close()

    def moves(fact: Fact) -> Fact:
        return fact.but(fields={"full_name": fact.fields["name"]})

    async with (
        await open_store(pair.source, registry=Registry()) as source,
        await open_store(pair.target, registry=Registry()) as target,
    ):
        with pytest.raises(SealedFieldMoved, match="'full_name'"):
            await Migration(source, target, moves).run()
        assert 0 == await target.head()
