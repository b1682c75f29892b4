"""The tutorials' code runs as it is printed, block after block, in an empty folder."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from goldseam.errors import VersionConflict
from goldseam.events.registry import registry

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[str]:
    """The Python blocks of a page, in order."""
    return _BLOCK.findall(text)


def compiled(block: str, name: str) -> CodeType:
    """A block that may await at its top level."""
    tree = ast.parse(block, filename=name)
    return compile(tree, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def run_page(text: str, name: str) -> dict[str, Any]:
    """Run the blocks of a page one after another in one namespace."""
    namespace: dict[str, Any] = {"__name__": name}
    for number, block in enumerate(blocks(text), start=1):
        # Running the page is the purpose: these are this repository's own pages.
        result = eval(compiled(block, f"{name} block {number}"), namespace)
        if inspect.isawaitable(result):
            await result
    return namespace


def test_there_are_tutorials() -> None:
    """An empty folder, or a page without code, would let the other tests pass for nothing."""
    assert 4 == len(TUTORIALS)
    assert all(len(blocks(page.read_text("utf-8"))) >= 5 for page in TUTORIALS)


@pytest.fixture(autouse=True)
def own_event_names() -> Iterator[None]:
    """Each page is a program of its own: its event names are free, and are given back."""
    before = dict(registry.by_name), dict(registry._by_class)
    kept = registry.corrections, dict(registry.upcasters)
    registry.corrections = None
    registry.upcasters.clear()
    registry.by_name.clear()
    registry._by_class.clear()
    yield
    registry.by_name.clear()
    registry._by_class.clear()
    registry.by_name.update(before[0])
    registry._by_class.update(before[1])
    registry.corrections = kept[0]
    registry.upcasters.clear()
    registry.upcasters.update(kept[1])


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's working directory, with no store named by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GOLDSEAM_STORE", raising=False)
    monkeypatch.delenv("TARGET_STORE", raising=False)
    return tmp_path


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
async def test_a_tutorial_runs_as_printed(page: Path, empty_folder: Path) -> None:
    """Every block works on the store that the page names, and leaves nothing running."""
    await run_page(page.read_text("utf-8"), page.stem)
    assert list(empty_folder.glob("*.db"))
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert [] == left


async def test_the_move_to_postgresql_runs_there(
    empty_folder: Path, postgres_schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tutorial 3 promises that the same blocks run on PostgreSQL."""
    monkeypatch.setenv("GOLDSEAM_STORE", postgres_schema_url)
    page = TUTORIALS[2]
    await run_page(page.read_text("utf-8"), page.stem)
    assert not (empty_folder / "parcels.db").exists()


async def test_the_copy_goes_into_postgresql(
    empty_folder: Path, postgres_schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tutorial 3's copy moves a SQLite log into PostgreSQL with the same ids and positions."""
    monkeypatch.setenv("TARGET_STORE", postgres_schema_url)
    page = TUTORIALS[2]
    await run_page(page.read_text("utf-8"), page.stem)
    assert ["parcels.db"] == [path.name for path in empty_folder.glob("*.db")]


@pytest.mark.usefixtures("empty_folder")
async def test_control_a_page_that_is_wrong_fails() -> None:
    """A wrong claim in a block reaches the test."""
    page = TUTORIALS[0].read_text("utf-8")
    with pytest.raises(AssertionError):
        await run_page(page.replace("handled.state.cents == 400", "False"), "wrong")
    with pytest.raises(VersionConflict):  # once more, on the store of the first run
        await run_page(page, "wrong")
