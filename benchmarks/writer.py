"""One process of the benchmark with several: says that it is ready, waits for a line, appends."""

from __future__ import annotations

import asyncio
import json
import sys

from benchmarks.payload import registry
from benchmarks.postgres import appends
from goldseam import open_store


async def main(url: str, writers: int, seconds: float) -> None:
    """Append with ``writers`` tasks and print the rate."""
    async with await open_store(url, registry=registry) as store:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        sys.stdout.write(json.dumps({"rate": await appends(store, writers, 1, seconds)}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
