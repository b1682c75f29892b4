"""``python -m examples.shop``: the shop on this machine, in one process or in several.

``python -m examples.shop serve`` runs all four services and the HTTP door;
``serve orders`` the door and its own service, ``run payments`` another service alone.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import AsyncExitStack
from importlib import import_module

from examples.shop.settings import settings
from goldseam import Goldseam
from goldseam.http.server import serve

OTHERS = ("inventory", "payments", "shipping")


def main() -> None:
    """Parse the command line, and serve or run."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description=__doc__)
    parser.add_argument("verb", choices=["serve", "run"])
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="all four unless named")
    parser.add_argument("--port", type=int, default=8400)
    options = parser.parse_args()
    named = options.services or ["orders", *OTHERS]
    settings.folder.mkdir(parents=True, exist_ok=True)
    others = [service(name) for name in named if name != "orders"]
    if options.verb == "run":
        asyncio.run(run(others))
        return
    from examples.shop.orders import app
    from examples.shop.orders.http import create_shop

    serve(create_shop(app, others), "127.0.0.1", options.port, tokens=())


def service(name: str) -> Goldseam:
    """The application of one service."""
    found: Goldseam = import_module(f"examples.shop.{name}").app
    return found


async def run(services: list[Goldseam]) -> None:
    """Run ``services`` in this process until it is told to stop."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        for one in services:
            await stack.enter_async_context(one)
        await stopping.wait()


main()
