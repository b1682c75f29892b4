"""A program: follows a store and prints each position and mark, as many as it is told to."""

from __future__ import annotations

import asyncio
import sys

from goldseam import open_store
from tests.faults.ledger import ParcelScanned


async def _run(url: str, count: int) -> None:
    assert ParcelScanned.__name__ == "ParcelScanned"  # registered: its events can be read
    async with await open_store(url) as store:
        print("ready", flush=True)
        async for event in store.follow():
            sys.stdout.write(f"{event.position} {event.data.mark}\n")
            if event.position >= count:
                break


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], int(sys.argv[2])))
