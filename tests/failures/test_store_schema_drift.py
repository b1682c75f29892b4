"""store/schema-drift: tables that are not those of this version are named, never worked on."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from goldseam import open_store
from goldseam.errors import SchemaError
from tests.crashes.outside import query
from tests.support.ticks import registry, tick


async def opened(url: str, *, apply: bool = False) -> None:
    async with await open_store(url, registry=registry, apply=apply):
        pass


async def test_an_empty_database_is_not_taken_for_a_store(store_url: str) -> None:
    """It says which migration is missing and which command mends it."""
    with pytest.raises(SchemaError, match=r"0001_log.*goldseam store apply"):
        await opened(store_url)


async def test_a_migration_that_changed_after_it_was_applied_is_refused(store_url: str) -> None:
    """Somebody edited the file, or another build made the tables: both are said, neither mended."""
    await opened(store_url, apply=True)
    query(store_url, "UPDATE goldseam_migrations SET checksum = 'edited'")
    for apply in (False, True):
        with pytest.raises(SchemaError, match="differ from the files"):
            await opened(store_url, apply=apply)


async def test_a_database_newer_than_the_code_is_refused(store_url: str) -> None:
    """An old version does not touch what it does not know."""
    await opened(store_url, apply=True)
    query(
        store_url,
        "INSERT INTO goldseam_migrations (part, number, name, checksum, applied_us)"
        " VALUES ('store', 9999, 'future', 'x', 1)",
    )
    with pytest.raises(SchemaError, match="9999"):
        await opened(store_url, apply=True)


async def test_many_that_apply_at_once_apply_once(store_url: str) -> None:
    """A deployment starts several nodes on an empty database: one store, one identity."""
    await asyncio.gather(*(opened(store_url, apply=True) for _ in range(6)))

    assert [(1,)] == query(store_url, "SELECT count(*) FROM goldseam_store")
    applied = query(store_url, "SELECT part, number FROM goldseam_migrations WHERE part = 'store'")
    assert len(set(applied)) == len(applied)


def goldseam(*arguments: str, store: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "goldseam", "store", *arguments, "--store", store]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("damage", "plan_code", "words"),
    [
        ("UPDATE goldseam_migrations SET checksum = 'edited'", 1, "differ from the files"),
        ("UPDATE goldseam_migrations SET number = 9999", 1, "run a newer goldseam"),
        ("DELETE FROM goldseam_migrations", 0, "goldseam store apply"),
    ],
    ids=["edited", "newer", "missing"],
)
def test_the_command_line_tells_drift_by_its_exit_code(
    store_url: str, damage: str, plan_code: int, words: str
) -> None:
    """`check` is 1 for each drift and says what to do; `plan` is 1 for what apply cannot mend."""
    assert 0 == goldseam("apply", store=store_url).returncode
    assert 0 == goldseam("check", store=store_url).returncode
    query(store_url, damage)
    check, plan = goldseam("check", store=store_url), goldseam("plan", store=store_url)

    assert (1, "") == (check.returncode, check.stdout)
    assert words in check.stderr
    assert "Traceback" not in check.stderr
    assert plan_code == plan.returncode, plan.stderr


def test_processes_that_apply_at_once_apply_once(store_url: str) -> None:
    """Three processes on an empty database: all succeed, one of them did it."""
    command = [sys.executable, "-m", "goldseam", "store", "apply", "--json", "--store", store_url]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [child.communicate(timeout=60)[0] for child in children]

    assert [0, 0, 0] == [child.returncode for child in children]
    applied = [name for answer in answers for name in json.loads(answer)["applied"]]
    assert ["0001_pre_log"] == applied
    assert [(1,)] == query(store_url, "SELECT count(*) FROM goldseam_store")


async def test_control_without_the_check_the_damage_shows_at_the_first_write(
    store_url: str,
) -> None:
    """A table that lost a column is found only by a writer, in production."""
    await opened(store_url, apply=True)
    query(store_url, "ALTER TABLE goldseam_events RENAME COLUMN chain TO chains")
    async with await open_store(store_url, registry=registry, apply=False) as store:
        with pytest.raises(Exception, match="chain"):
            await store.append("tick-0", [tick(0, 0)], expected=0)
