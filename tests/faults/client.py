"""A program: appends as it is told, a line of JSON for each; answers with a line of JSON.

`{"stream", "marks", "ids"?, "key"?, "copies"?}`: append the marks, `copies` times at once.
With `--die-after-commit` the process is gone between the commit and its answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from typing import Any

from goldseam import ANY, EventStore, GoldseamError, NewEvent, open_store
from goldseam.store.batch import Batch, Verdict
from tests.faults.ledger import ParcelScanned


def _die_after_commit(store: EventStore) -> None:
    append = store.database.append

    async def append_and_die(batch: Batch) -> list[Verdict]:
        await append(batch)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("dead")

    store.database.append = append_and_die  # type: ignore[method-assign]


async def _append(store: EventStore, order: dict[str, Any]) -> dict[str, Any]:
    ids = order.get("ids") or [None] * len(order["marks"])
    events = [
        NewEvent(ParcelScanned(mark=mark), id=uuid.UUID(text) if text else None)
        for mark, text in zip(order["marks"], ids, strict=True)
    ]
    try:
        done = await store.append(order["stream"], events, expected=ANY, key=order.get("key"))
    except GoldseamError as error:
        return {"error": type(error).__name__}
    return {"first": done.first_position, "last": done.position, "replayed": done.replayed}


async def _run(url: str, die: bool) -> None:
    async with await open_store(url) as store:
        if die:
            _die_after_commit(store)
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            copies = (_append(store, order) for _ in range(order.get("copies", 1)))
            print(json.dumps(await asyncio.gather(*copies)), flush=True)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], "--die-after-commit" in sys.argv))
