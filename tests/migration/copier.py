"""A process of its own that migrates, and waits to be killed:
``python -m tests.migration.copier SOURCE TARGET PAGE UNTIL``."""

from __future__ import annotations

import asyncio
import sys
import time

from goldseam import open_store
from goldseam.migration.migration import Migration
from tests.migration.transforms import mixed
from tests.support.ticks import registry

KILLED_WITHIN_SECONDS = 60


async def main(source: str, target: str, page_events: int, until: int) -> None:
    """Copy; once ``until`` is copied nobody but the kill ends it."""

    def told(what: str, position: int, of: int) -> None:
        if what == "copy" and until <= position < of:
            time.sleep(KILLED_WITHIN_SECONDS)

    async with (
        await open_store(source, registry=registry) as old,
        await open_store(target, registry=registry) as new,
    ):
        await Migration(old, new, mixed, page_events=page_events, silence_seconds=0).run(told)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
