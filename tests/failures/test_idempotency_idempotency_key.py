"""idempotency/idempotency-key: the consumer checks the key before it processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goldseam.consumers.modes import AtLeastOnce, IdempotencyKey, Mode
from tests.projections.bank import Outside
from tests.support.consumers import Elsewhere, facts
from tests.support.river import drain, river, send, target

FACTS = 30


async def _sent_twice(url: str, folder: Path, mode: Mode) -> list[tuple[str, int]]:
    """A producer that got no answer sends everything again."""

    class Paying(Elsewhere):
        pass

    Paying.mode = mode
    paying = Paying()
    async with river(f"sqlite:///{folder / 'broker.db'}") as broker, target(url) as database:
        await send(broker, facts(3, FACTS // 3))
        await send(broker, facts(3, FACTS // 3))
        await drain(paying, broker, database, 2 * FACTS)
    return paying.sent


async def test_a_key_that_was_processed_is_skipped(store_url: str, tmp_path: Path) -> None:
    """60 deliveries of 30 facts: 30 payments, and their keys are kept."""
    sent = await _sent_twice(store_url, tmp_path, AtLeastOnce(dedup=IdempotencyKey()))
    assert FACTS == len(sent) == len(set(sent))
    count = "SELECT count(*) FROM goldseam_processed_events WHERE consumer = 'elsewhere'"
    assert [(FACTS,)] == Outside(store_url).query(count)


async def test_control_without_keys_every_delivery_pays(store_url: str, tmp_path: Path) -> None:
    """The same deliveries, nothing looked up: 60 payments."""
    assert 2 * FACTS == len(await _sent_twice(store_url, tmp_path, AtLeastOnce()))


async def test_a_crash_between_effect_and_key_repeats_the_effect_with_the_same_key(
    store_url: str, tmp_path: Path
) -> None:
    """The limit of the pattern: so the handler hands the event id on to whatever it calls."""
    keys: list[str] = []

    class Forwarding(Elsewhere):
        mode = AtLeastOnce(dedup=IdempotencyKey())

        async def apply_batch(self, events: Sequence[Any], db: Any) -> None:
            keys.append(str(events[0].id))
            if len(keys) == 1:
                raise ConnectionError("the payment was made, its answer was lost")

    async with river(f"sqlite:///{tmp_path / 'broker.db'}") as broker, target(store_url) as base:
        await send(broker, facts(1, 1))
        await drain(Forwarding(), broker, base, 1)
    assert 2 == len(keys)
    assert 1 == len(set(keys))
