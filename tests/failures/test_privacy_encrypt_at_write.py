"""privacy/encrypt-at-write: personal values never reach a disk, a log line or a metric in clear."""

from __future__ import annotations

import logging
import sqlite3
import traceback
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from goldseam import ANY, NEW, Recorded, Registry, open_store
from goldseam.forgetting.needles import all_forms
from goldseam.forgetting.places import files_below
from goldseam.forgetting.search import Needles
from goldseam.projections.connection import ProjectionConnection
from goldseam.telemetry.signals import signals
from tests.forgetting.people import (
    CustomerReferred,
    CustomerRegistered,
    Customers,
    Office,
    caught_up,
    office,
)

NAME, NOTE, MAIL = "Ann Marker-5c0ffee", "a note of Marker-5c0ffee", "bob@marker-5c0ffee.example"
SUBJECT = "subject-5c0ffee"

plain = Registry()


@plain.event(name="CustomerRegistered")
class Unprotected(msgspec.Struct, frozen=True):
    customer_id: str
    name: str


def left(folder: Path, *values: str) -> set[str]:
    """The files in which one of ``values`` is, in any form."""
    needles = Needles(all_forms(values))
    return {path.name for path in files_below(folder) if needles.found_in(path.read_bytes())}


async def test_no_file_has_a_personal_value(tmp_path: Path) -> None:
    """Not the log, not its WAL, not the key store: while it is open and afterwards."""
    url = f"sqlite:///{tmp_path}/store.db"
    async with office(url, tmp_path, projections=()) as opened:
        await opened.store.append("customer-1", [CustomerRegistered("c-1", NAME)], expected=NEW)
        both = CustomerReferred("c-1", "c-2", NOTE, MAIL)
        await opened.store.append("referral-1", [both], expected=NEW)
        assert set() == left(tmp_path, NAME, NOTE, MAIL)
        assert both == (await opened.store.read_stream("referral-1"))[0].data
    assert set() == left(tmp_path, NAME, NOTE, MAIL)


async def test_control_without_the_annotation_it_is_there(tmp_path: Path) -> None:
    """The same search finds the value of a class that declares nothing."""
    async with await open_store(f"sqlite:///{tmp_path}/store.db", registry=plain) as store:
        await store.append("customer-1", [Unprotected("c-1", NAME)], expected=NEW)
        assert {"store.db-wal"} == left(tmp_path, NAME)


class Broken(Customers):
    """A handler with a bug that quotes the person in its error."""

    name = "broken"
    tables = "CREATE TABLE {broken} (id TEXT PRIMARY KEY, name TEXT NOT NULL)"

    async def apply_batch(self, events: Sequence[Recorded[Any]], db: ProjectionConnection) -> None:
        for event in events:
            if isinstance(event.data, CustomerRegistered):
                raise TypeError(f"cannot take {event.data.name}")


async def test_no_log_line_metric_or_error_names_anybody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A session of appends, failures, parked events, forgets and damage, with every level on."""
    caplog.set_level(logging.DEBUG)
    raised: list[str] = []
    url = f"sqlite:///{tmp_path}/store.db"
    async with office(url, tmp_path, projections=(Customers, Broken)) as opened:
        await session(opened, tmp_path, raised)
    said = "\n".join([*(_whole(record) for record in caplog.records), *raised])
    assert 8 <= len(raised)
    assert "parked" in said
    needles = Needles(all_forms([NAME, NOTE, MAIL, SUBJECT]))
    assert set() == needles.found_in(said.encode())
    assert set() == needles.found_in(signals.exposition().encode())
    parked = sqlite3.connect(tmp_path / "store.db").execute("SELECT error FROM goldseam_parked")
    assert set() == needles.found_in("".join(row[0] for row in parked).encode())


async def session(opened: Office, folder: Path, raised: list[str]) -> None:
    """What goes well and what does not; the texts of all errors are kept."""
    store, ann = opened.store, CustomerRegistered(SUBJECT, NAME)

    async def wrong(work: Awaitable[object]) -> None:
        try:
            await work
        except Exception as error:
            raised.append("".join(traceback.format_exception(error, limit=0)))
        else:
            raise AssertionError("it should have failed")

    await store.append("customer-1", [ann], expected=NEW)
    await store.append("referral-1", [CustomerReferred("c-2", SUBJECT, NOTE, MAIL)], expected=NEW)
    for hosted in opened.projections.values():
        with suppress(TypeError):
            await caught_up(hosted)
    await wrong(store.append("customer-1", [ann], expected=NEW))
    await wrong(store.append("customer-1", [CustomerRegistered("", NAME)], expected=ANY))
    await wrong(store.append("customer-1", [CustomerRegistered(SUBJECT, 7)], expected=ANY))  # type: ignore[arg-type]
    await wrong(store.append("x" * 300, [ann], expected=ANY))
    await wrong(opened.vault.readmit("main", SUBJECT))
    await wrong(opened.vault.sealing_keys("main", {SUBJECT + "\0"}))
    (folder / "epochs").chmod(0o755)
    await wrong(opened.forgetting.forget([SUBJECT], "asked"))
    (folder / "epochs").chmod(0o700)
    await wrong(opened.forgetting.resume())  # the broken read model cannot be made anew
    await wrong(store.append("customer-1", [ann], expected=ANY))


def _whole(record: logging.LogRecord) -> str:
    """A log record as the most talkative formatter shows it."""
    return logging.Formatter("%(message)s %(args)s %(name)s").format(record)
