"""versioning/upcasting: five versions of an event are read as today's, a gap stops the start."""

from __future__ import annotations

import random
from hashlib import sha256

import msgspec
import pytest

from goldseam import ANY, Registry, open_store
from goldseam.errors import UnknownEventType, UnreadableEvent, UpcasterGap, UpcastFailed
from goldseam.events.registry import Untyped
from goldseam.telemetry.signals import signals
from goldseam.versioning.upcasting import add_field, drop_field, rename_field, upcaster

EVENTS = 100_000
BATCH = 5_000
SEED = 20_260_301
NAME = "DepositApplied"


def payload(version: int, n: int, amount: int) -> dict[str, object]:
    """What the release of each version wrote, spelled out without any upcaster."""
    shapes: dict[int, dict[str, object]] = {
        1: {"amount": amount},
        2: {"amount": amount, "currency": "EUR"},
        3: {"totalAmount": amount, "currency": "EUR"},
        4: {"totalAmount": amount, "currency": "EUR", "branch": f"b{n % 7}"},
        5: {"minor": amount * 100, "currency": "EUR", "branch": f"b{n % 7}"},
    }
    return shapes[version]


def golden(version: int, n: int, amount: int) -> tuple[int, str, str]:
    """What each is worth today, from the words of the change log and not from the upcasters."""
    currency = "USD" if version == 1 else "EUR"
    branch = f"b{n % 7}" if version >= 4 else "main"
    return amount * 100, currency, branch


def today(*, without: int = 0) -> Registry:
    """Version 5 and the chain to it, with one link left out if asked."""
    bank = Registry()

    @bank.event(name=NAME, version=5)
    class DepositApplied(msgspec.Struct, frozen=True):
        minor: int
        currency: str
        branch: str

    def in_cents(fields: dict[str, int]) -> dict[str, int]:
        return {**drop_field("totalAmount")(fields), "minor": fields["totalAmount"] * 100}

    steps = {
        1: add_field("currency", "USD"),
        2: rename_field("amount", "totalAmount"),
        3: add_field("branch", "main"),
        4: in_cents,
    }
    for version, step in steps.items():
        if version != without:
            upcaster(NAME, version, registry=bank)(step)
    return bank


def mixture(count: int) -> list[tuple[int, int, int]]:
    """Version, number and amount of each event: mixed, and the same for everybody."""
    dice = random.Random(SEED)
    return [(dice.randint(1, 5), n, dice.randint(1, 10**6)) for n in range(count)]


async def filled(url: str, mixed: list[tuple[int, int, int]]) -> None:
    async with await open_store(url, registry=Registry(open_to_unknown=True)) as store:
        for start in range(0, len(mixed), BATCH):
            batch = mixed[start : start + BATCH]
            events = [Untyped(NAME, version, payload(version, n, a)) for version, n, a in batch]
            await store.append("account-1", events, expected=ANY)


async def test_a_hundred_thousand_mixed_events_read_as_today(store_url: str) -> None:
    """Versions 1 to 5 mixed: each event has exactly the values that the change log promises."""
    mixed = mixture(EVENTS)
    await filled(store_url, mixed)
    wanted = sha256(repr([golden(*one) for one in mixed]).encode()).hexdigest()

    read, versions = [], set()
    async with await open_store(store_url, registry=today()) as store:
        async for page in store.pages(page=BATCH):
            read += [(e.data.minor, e.data.currency, e.data.branch) for e in page]
            versions |= {event.type_version for event in page}

    assert (EVENTS, {5}) == (len(read), versions), f"seed {SEED}"
    assert wanted == sha256(repr(read).encode()).hexdigest(), f"seed {SEED}"


@pytest.mark.parametrize("without", [2, 3, 4])
async def test_a_gap_in_the_chain_is_found_at_start(store_url: str, without: int) -> None:
    """The program does not start, instead of stopping at the first old event some day."""
    with pytest.raises(UpcasterGap, match=rf"from version {without}.*newest class is version 5"):
        await open_store(store_url, registry=today(without=without))


async def test_an_upcaster_that_fails_holds_the_event(store_url: str) -> None:
    """It is intact and named; a reader that goes on gets it marked, and it is counted."""
    await filled(store_url, [(1, 0, 5)])
    broken = today()
    broken.upcasters[NAME, 3] = lambda fields: fields["absent"]
    before = signals.value("goldseam_upcasts_failed_total")
    async with await open_store(store_url, registry=broken) as store:
        with pytest.raises(UpcastFailed, match=r"version 3 failed: KeyError") as told:
            await store.read_stream("account-1")
        held = (await store.tolerant().read_all())[0].data

    assert "absent" not in str(told.value)
    assert isinstance(held, Untyped)
    assert ({"amount": 5}, True) == (held.fields(), "upcaster failed" in held.unreadable)
    assert before + 2 == signals.value("goldseam_upcasts_failed_total")


async def test_control_without_upcasters_old_events_stop_the_reader(store_url: str) -> None:
    """The same log, the same class, no chain: versions 1 to 4 cannot be read."""
    await filled(store_url, mixture(20))
    bare = today()
    bare.upcasters.clear()
    for version in range(1, 5):
        del bare.by_name[NAME, version]
    async with await open_store(store_url, registry=bare) as store:
        with pytest.raises(UnknownEventType):
            await store.read_stream("account-1")


async def test_control_one_version_for_all_shapes_is_misread(store_url: str) -> None:
    """Where a class merely changed under its old version, its own past does not fit it."""
    async with await open_store(store_url, registry=Registry(open_to_unknown=True)) as store:
        await store.append("account-1", [Untyped(NAME, 5, payload(1, 0, 5))], expected=ANY)
    async with await open_store(store_url, registry=today()) as store:
        with pytest.raises(UnreadableEvent, match="minor"):
            await store.read_stream("account-1")
