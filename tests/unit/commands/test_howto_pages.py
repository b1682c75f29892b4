"""The pages about commands, tests and transactions: their code runs as it is printed."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from goldseam import open_store
from tests.crashes.outside import query, versions

PAGES = Path(__file__).resolve().parents[3] / "docs" / "howto"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_loaded: dict[str, ModuleType] = {}


def _page(name: str) -> Any:
    """All code of a page as one module; loaded once, for its events are registered once."""
    if name not in _loaded:
        module = ModuleType("howto_" + name.replace("-", "_"))
        sys.modules[module.__name__] = module
        blocks = _BLOCK.findall((PAGES / f"{name}.md").read_text(encoding="utf-8"))
        assert blocks
        exec(compile("\n".join(blocks), f"{name}.md", "exec"), module.__dict__)
        _loaded[name] = module
    return _loaded[name]


async def test_write_commands(store_url: str) -> None:
    """Class, functions, keys and snapshots of the page hold on both stores."""
    page = _page("write-commands")
    await page.evening(store_url)
    assert [1, 2, 3] == versions(store_url, "concert-1")
    await page.long_stream(store_url)
    assert [1] == versions(store_url, "concert-2")


def test_test_your_deciders() -> None:
    """The test that the page shows passes."""
    _page("test-your-deciders").test_a_book_is_lent_to_one_reader()


async def test_the_pages_number_of_crashes(store_url: str) -> None:
    """Three awaits, both sides."""
    assert 6 == await _page("test-your-deciders").count_crashes(store_url)


@pytest.fixture
def invoices(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("CREATE TABLE invoices (number INTEGER PRIMARY KEY)")
    yield connection
    connection.close()


async def test_append_in_your_own_transaction(tmp_path: Path, invoices: sqlite3.Connection) -> None:
    """Row and event commit together; when the row is refused, the event is not there either."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    await (await open_store(url)).close()
    page = _page("append-in-your-own-transaction")
    page.send_invoice(invoices, 7)
    with pytest.raises(sqlite3.IntegrityError):
        page.send_invoice(invoices, 7)
    assert [(7,)] == query(url, "SELECT number FROM invoices")
    assert [1] == versions(url, "invoice-7")
