"""A program: many tasks append to one store and report each step, until somebody kills it.

It begins by appending again, with the same ids, whatever an earlier life left without an answer,
and a few appends that had one. Prints `ready` when its load runs.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import uuid
from pathlib import Path

from goldseam import ANY, EventStore, NewEvent, VersionConflict, open_store
from tests.faults.ledger import ParcelScanned, Reporter, Sent, ledger

STREAMS = 20
NEVER = 1_000_000_000
"""A version that no stream has: an append that expects it must be refused."""
DOOMED_ONE_IN = 12
ACKED_AGAIN = 3


def _events(one: Sent) -> list[NewEvent]:
    pairs = zip(one.ids, one.marks, strict=True)
    return [NewEvent(ParcelScanned(mark=mark), id=uuid.UUID(text)) for text, mark in pairs]


async def send(store: EventStore, reporter: Reporter, one: Sent) -> None:
    """Append, and report the answer before anything else is done."""
    try:
        done = await store.append(one.stream, _events(one), expected=NEVER if one.doomed else ANY)
    except VersionConflict:
        reporter.tell("refused", name=one.name)
    else:
        reporter.tell("acked", name=one.name, first=done.first_position, last=done.position)


def new_append(rng: random.Random, life: str, number: int, events_max: int) -> Sent:
    """A seeded append of one to ``events_max`` events."""
    name = f"{life}.{number}"
    count = rng.randint(1, events_max)
    return Sent(
        name,
        f"parcel-{rng.randrange(STREAMS)}",
        [f"{name}.{n}" for n in range(count)],
        [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(count)],
        rng.randrange(DOOMED_ONE_IN) == 0,
    )


async def again(store: EventStore, reporter: Reporter, path: Path, rng: random.Random) -> None:
    """Give every open append its answer, and ask for some answers a second time."""
    known = list(ledger([path]).values())
    acked = [one for one in known if one.answers]
    chosen = [one for one in known if one.open and not one.doomed]
    chosen += rng.sample(acked, min(ACKED_AGAIN, len(acked)))
    await asyncio.gather(*(send(store, reporter, one) for one in chosen))


async def run(arguments: argparse.Namespace) -> None:
    """One life of the writer."""
    rng = random.Random(f"{arguments.seed}/{arguments.life}")
    path = Path(arguments.ledger)
    reporter = Reporter(path)
    async with await open_store(arguments.url) as store:
        await again(store, reporter, path, rng)
        print("ready", flush=True)
        numbers = iter(range(arguments.appends))

        async def task() -> None:
            for number in numbers:
                one = new_append(rng, arguments.life, number, arguments.events_max)
                reporter.tell(
                    "sent",
                    name=one.name,
                    stream=one.stream,
                    marks=one.marks,
                    ids=one.ids,
                    doomed=one.doomed,
                )
                await send(store, reporter, one)

        await asyncio.gather(*(task() for _ in range(arguments.tasks)))
    reporter.close()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("ledger")
    parser.add_argument("--life", default="0", help="a name for this life, part of every mark")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--tasks", type=int, default=32)
    parser.add_argument("--appends", type=int, default=NEVER)
    parser.add_argument("--events-max", type=int, default=3)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
