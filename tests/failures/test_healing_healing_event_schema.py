"""healing/healing-event-schema: who, why, what, before and after are in every correction.

Checked against the guide's own JSON, read from the row with plain SQL. The control declares a
correction that leaves the reason out, and is refused when its module is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from goldseam import Registry, open_store
from goldseam.errors import InvalidEvent
from goldseam.healing.corrections import corrects
from goldseam.healing.errors import InvalidCorrection, WrongValue
from goldseam.healing.heal import heal
from tests.crashes.outside import query
from tests.unit.healing.bank import DepositCorrected, deposited, healed, registry

GUIDE = {
    "originalEventId": "evt-123",
    "originalAmount": 50,
    "correctedAmount": 100,
    "reason": "Data entry error",
    "correctedBy": "admin@company.com",
    "jiraTicket": "JIRA-567",
}


async def test_the_row_is_the_guides_json(store_url: str) -> None:
    """Name for name and value for value; only the id is this store's."""
    async with await open_store(store_url, registry=registry) as store:
        wrong = await deposited(store)
        await healed(store, wrong, by="admin@company.com")
    kind, payload = query(store_url, "SELECT type, payload FROM goldseam_events")[-1]
    assert "DepositCorrected" == kind
    assert {**GUIDE, "originalEventId": str(wrong)} == msgspec.json.decode(bytes(payload))
    assert list(GUIDE) == list(msgspec.json.decode(bytes(payload)))


@pytest.mark.parametrize("left_out", sorted(GUIDE))
async def test_a_correction_without_one_of_them_is_not_stored(
    tmp_path: Path, left_out: str
) -> None:
    """Not even by hand: the class itself has no defaults."""
    fields = {name: value for name, value in GUIDE.items() if name != left_out}
    with pytest.raises(msgspec.ValidationError, match=left_out):
        msgspec.convert(fields, DepositCorrected)
    async with await open_store(f"sqlite:///{tmp_path / 's.db'}", registry=registry) as store:
        with pytest.raises(InvalidEvent):
            await store.append(
                "account-1", [DepositCorrected(None, 50, 100, "r", "b", "t")], expected=0  # type: ignore[arg-type]
            )  # fmt: skip


@pytest.mark.parametrize("said", ["reason", "ticket", "corrected_by"])
@pytest.mark.parametrize("empty", ["", "  \n"])
async def test_an_empty_reason_is_no_reason(tmp_path: Path, said: str, empty: str) -> None:
    """The same for the ticket and the person."""
    words: dict[str, Any] = {"reason": "typo", "ticket": "J-1", "corrected_by": "ada", said: empty}
    async with await open_store(f"sqlite:///{tmp_path / 's.db'}", registry=registry) as store:
        wrong = await deposited(store)
        with pytest.raises(WrongValue, match=said):
            await heal(store, wrong, {"amount": 100}, **words)
        assert 1 == await store.head()


def test_control_a_class_without_a_reason_is_found_when_it_is_declared() -> None:
    """The encoder alone would store it: the declaration is what refuses."""
    own = Registry()

    @own.event
    class Deposit:
        amount: int

    @own.event
    class Corrected(msgspec.Struct, frozen=True):
        original_event_id: str
        original_amount: int
        corrected_amount: int
        corrected_by: str
        jira_ticket: str

    stored = own.of(Corrected("id", 50, 100, "ada", "J-1")).encode(
        Corrected("id", 50, 100, "ada", "J-1")
    )
    assert b"reason" not in stored
    with pytest.raises(InvalidCorrection, match="reason"):
        corrects(Deposit, registry=own)(Corrected)
