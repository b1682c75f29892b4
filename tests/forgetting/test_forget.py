"""Forgetting end to end: the key, the fact, the snapshots, the read models, and resuming."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from goldseam import ANY, NEW, Aggregate, handle
from goldseam.commands.snapshots import SnapshotPolicy
from goldseam.errors import StoreUnavailable
from goldseam.forgetting import forget as forget_module
from goldseam.forgetting.facts import STREAM, SubjectForgotten
from goldseam.forgetting.forget import Forgetting
from goldseam.privacy.errors import ErasureIncomplete
from goldseam.privacy.errors import SubjectForgotten as Refused
from tests.forgetting.people import (
    CustomerReferred,
    CustomerRegistered,
    Office,
    PlanChanged,
    caught_up,
    names,
    no_pause,
    office,
)

ANN = CustomerRegistered("c-1", "Ann Marker", "4111111111111234")
BOB = CustomerRegistered("c-2", "Bob Marker")


class Customer(Aggregate):
    name: str = ""

    def register(self, customer: str, name: str) -> None:
        self.record(CustomerRegistered(customer, name))

    def evolve(self, event: object) -> None:
        if isinstance(event, CustomerRegistered):
            self.name = event.name


async def filled(opened: Office) -> None:
    await opened.store.append("customer-1", [ANN], expected=NEW)
    await opened.store.append("customer-2", [BOB], expected=NEW)
    for hosted in opened.projections.values():
        await caught_up(hosted)


async def test_forgetting_reaches_log_fact_and_read_model(store_url: str, tmp_path: Path) -> None:
    """The event reads shredded, the log says so, and the read model shows a stand-in."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)
        before = await opened.projections["plans"].status()
        assert {"c-1": "Ann Marker", "c-2": "Bob Marker"} == await names(opened)
        report = await opened.forgetting.forget(["c-1"], "asked for it", actor="clerk-7")
        assert (1, ("customers",)) == (report.subjects, report.read_models)
        assert {"c-1": "[forgotten]", "c-2": "Bob Marker"} == await names(opened)
        assert before.generation == (await opened.projections["plans"].status()).generation
        (fact,) = await opened.store.read_stream(STREAM)
        assert isinstance(fact.data, SubjectForgotten)
        assert ("c-1", "clerk-7", {"reason": "asked for it"}) == (
            fact.data.subject, fact.metadata.actor, fact.metadata.extra,
        )  # fmt: skip
        with pytest.raises(Refused):
            await opened.store.append("customer-1", [ANN], expected=ANY)
        assert [] == await opened.forgetting.left()


async def test_forgetting_twice_tells_it_once(store_url: str, tmp_path: Path) -> None:
    """And somebody re-admitted and forgotten again is told a second time."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)
        await opened.forgetting.forget(["c-1"], "asked")
        again = await opened.forgetting.forget(["c-1"], "asked")
        assert 0 == again.subjects
        assert 1 == len(await opened.store.read_stream(STREAM))
        await opened.vault.readmit("main", "c-1")
        await opened.store.append("customer-1", [ANN], expected=ANY)
        await opened.forgetting.forget(["c-1"], "again")
        assert 2 == len(await opened.store.read_stream(STREAM))


async def test_no_retired_or_building_tables_stay(store_url: str, tmp_path: Path) -> None:
    """The tables from before the swap go, and a rebuild under way begins anew."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)
        hosted = opened.projections["customers"]
        begun = await hosted.begin_rebuild()
        page = await hosted.source.page(0, 1_000)
        await hosted.applier.apply(begun, page)
        half = await hosted.building()
        assert half is not None
        assert 2 == half.position
        await opened.forgetting.forget(["c-1"], "asked")
        assert {"c-1": "[forgotten]", "c-2": "Bob Marker"} == await names(opened)
        status = await hosted.status()
        assert (None, False) == (status.building_position, status.can_roll_back)


async def test_a_snapshot_about_the_subject_is_deleted(store_url: str, tmp_path: Path) -> None:
    """The state of the forgotten goes, that of others stays, and the aggregate loads without."""
    async with office(store_url, tmp_path) as opened:
        for n, name in ((1, "Ann Marker"), (2, "Bob Marker")):
            await handle(
                opened.store,
                Customer,
                f"customer-{n}",
                partial(Customer.register, customer=f"c-{n}", name=name),
                snapshots=SnapshotPolicy(every=1),
            )
        count = "SELECT count(*) FROM goldseam_snapshots"
        assert 2 == (await opened.store.database.fetch(count))[0][0]
        report = await opened.forgetting.forget(["c-1"], "asked")
        assert 1 == report.snapshots
        assert 1 == (await opened.store.database.fetch(count))[0][0]


@pytest.mark.parametrize("step", ["_tell", "_delete_snapshots", "_reproject", "_settle", "_check"])
async def test_an_erasure_that_stops_at_a_step_is_resumed(
    store_url: str, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which steps are done is said; the subject is refused already; resume does the rest."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)

        async def broken(*_: Any) -> None:
            raise StoreUnavailable("the disk is gone")

        with monkeypatch.context() as patch:
            patch.setattr(forget_module.Forgetting, step, broken)
            with pytest.raises(ErasureIncomplete) as caught:
                await opened.forgetting.forget(["c-1"], "asked")
        assert "keys" == caught.value.done[0]
        assert "goldseam privacy resume" in str(caught.value)
        with pytest.raises(Refused):
            await opened.store.append("customer-1", [ANN], expected=ANY)
        assert ["c-1"] == [one.subject for one in await opened.forgetting.left()]
        other = Forgetting(opened.store, opened.vault, opened.projections, pause=no_pause)
        assert 1 == (await other.resume()).subjects
        assert [] == await other.left()
        assert "[forgotten]" == (await names(opened))["c-1"]
        assert 1 == len(await opened.store.read_stream(STREAM))


async def test_an_erasure_without_known_read_models_stays_open(
    store_url: str, tmp_path: Path
) -> None:
    """Nobody can call it complete who does not know what was built from the events."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)
        blind = Forgetting(opened.store, opened.vault, None, pause=no_pause)
        with pytest.raises(ErasureIncomplete, match="--app"):
            await blind.forget(["c-1"], "asked")
        assert ["c-1"] == [one.subject for one in await opened.forgetting.left()]


async def test_an_event_about_two_people_forgets_one(store_url: str, tmp_path: Path) -> None:
    """The other's value is read as before."""
    async with office(store_url, tmp_path) as opened:
        both = CustomerReferred("c-1", "c-2", "try it, says Ann", "bob@marker.example")
        await opened.store.append("referral-1", [both, PlanChanged("pro")], expected=NEW)
        await opened.forgetting.forget(["c-1"], "asked")
        read = (await opened.store.read_stream("referral-1"))[0]
        assert ("[forgotten]", "bob@marker.example") == (read.data.note, read.data.receiver_email)
