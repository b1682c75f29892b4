"""Run it: python -m examples.event_sourcing_without_cqrs [URL of the store]."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from examples.event_sourcing_without_cqrs.loan import Loan
from goldseam import EventStore, handle, open_store


async def current(store: EventStore, stream: str) -> Loan:
    """The loan as its facts say: no table of loans, no projection, nothing that can lag."""
    loan = Loan()
    after = 0
    while facts := await store.read_stream(stream, after=after):
        for fact in facts:
            loan.evolve(fact.data)
        after = facts[-1].version
    return loan


async def history(store: EventStore, stream: str) -> list[str]:
    """What happened, in order: the reason to keep facts."""
    return [f"{fact.version}. {fact.type}" for fact in await store.read_stream(stream)]


async def main(store_url: str) -> Loan:
    """Lend a book, extend the loan, take it back; the state after every step."""
    async with await open_store(store_url) as store:
        await handle(store, Loan, "loan-1", lambda loan: loan.lend("Dune", "ada", 14))
        await handle(store, Loan, "loan-1", lambda loan: loan.extend(7))
        loan = await current(store, "loan-1")
        print(f"{loan.reader} may keep {loan.book} for {loan.days} days")
        await handle(store, Loan, "loan-1", lambda loan: loan.give_back(20))
        print("\n".join(await history(store, "loan-1")))
        return await current(store, "loan-1")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'loans.db'}"
        asyncio.run(main(url))
