"""A process to be killed: applies a log to a projection, or rebuilds it, in small pages."""

from __future__ import annotations

import asyncio
import sys

from goldseam import Goldseam
from goldseam.projections.rebuild import Rebuild
from tests.projections.bank import Movements

PAGE_EVENTS = 20


async def main(work: str, url: str) -> None:
    """Say ``begun`` and work; ``done`` is only said by who was not killed."""
    async with Goldseam(url, [Movements()], run=False) as app:
        hosted = app.projections["movements"]
        print("begun", flush=True)
        if work == "follow":
            hosted.runner._page_events = PAGE_EVENTS
            await hosted.runner.catch_up()
        else:
            where = hosted.applier, hosted.source, hosted.advances
            await Rebuild(*where, page_events=PAGE_EVENTS).run()
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
