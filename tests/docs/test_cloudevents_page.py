"""The page about records says what a relay writes, header by header."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

from goldseam.broker.cloudevents import record_of
from goldseam.events.event import Metadata, RawEvent, encode_metadata

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cloudevents-on-kafka.md"
EVENT = RawEvent(
    12345,
    "main",
    "account-1",
    3,
    "DepositApplied",
    2,
    b'{"amount":50}',
    1_700_000_000_123_456,
    UUID("01890a5d-ac96-774b-bcce-b302099a8057").bytes,
    encode_metadata(Metadata(correlation="c-1", actor="ann")),
)


def test_the_example_is_what_is_written() -> None:
    """Names, order and values; the bytes of the schema's id are described in words."""
    record = record_of(EVENT, "account", "/goldseam/bank", UUID(int=5).bytes)
    written = [(name, value.decode("utf-8", "replace")) for name, value in record.headers]
    said = re.findall(r"^\| `([a-z_-]+)` \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [name for name, _ in written] == [name for name, _ in said]
    assert [f"`{value}`" for _, value in written[:-1]] == [value for _, value in said[:-1]]
    assert ("`01` and 16 bytes", 17) == (said[-1][1], len(record.headers[-1][1]))
    assert (b"account-1", b'{"amount":50}') == (record.key, record.value)
