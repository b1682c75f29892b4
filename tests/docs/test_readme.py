"""The README's snippets run as they stand, and its links lead somewhere."""

from __future__ import annotations

import ast
import asyncio
import re
import types
from pathlib import Path

import pytest

from goldseam import Goldseam
from goldseam.runtime.reconciling import reconcile_application
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


class Services:
    """The inventory and the payments of the saga's snippet; every card is declined."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def reserve(self, sku: str, key: str) -> None:
        self.asked.append("reserve")

    async def release(self, sku: str, key: str) -> None:
        self.asked.append("release")

    async def charge(self, cents: int, key: str) -> bool:
        self.asked.append("charge")
        return False


async def test_the_snippets_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, one after another, as a reader types them; then `goldseam run`."""
    from goldseam.events.registry import registry

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "by_name", dict(registry.by_name))
    for name in ("MoneyDeposited", "OrderReceived"):
        registry.by_name.pop((name, 1), None)
    services = Services()
    room: dict[str, object] = {
        "__name__": "readme",
        "inventory": services,
        "payments": services,
    }
    for snippet in SNIPPETS:
        code = compile(snippet, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        started = types.FunctionType(code, room)()
        if started is not None:
            await started

    assert 4 == len(SNIPPETS)
    assert [("account-1", 100)] == room["rows"]
    app = room["app"]
    assert isinstance(app, Goldseam)
    async with app, asyncio.timeout(60):
        while not await app.caught_up():  # noqa: ASYNC110 -- as `goldseam run bank:app --once`
            await asyncio.sleep(0.05)
        receipts = await app.target("receipts").fetch("SELECT cents FROM receipts")
    assert [50, 50] == [cents for (cents,) in receipts]
    assert (await reconcile_application(app.steering())).balanced
    async with Goldseam("sqlite:///orders.db", sagas=[room["Fulfilment"]()]) as shop:

        async def over() -> bool:
            return not (await shop.sagas.load("fulfilment/order-17")).state.open

        await eventually(over)
        assert ["reserve", "charge", "release"] == list(dict.fromkeys(services.asked))
        assert "compensated" == (await shop.sagas.load("fulfilment/order-17")).state.status


def test_the_first_snippet_is_twenty_lines() -> None:
    """A stranger reads it in one look."""
    assert len(SNIPPETS[0].splitlines()) <= 20


def test_every_link_leads_somewhere() -> None:
    """Files and folders of this repository."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)

    assert len(links) > 20
    assert [] == [link for link in links if not (ROOT / link).exists()]
