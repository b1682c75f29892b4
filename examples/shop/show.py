"""What the demo prints: lines of its story, a progress bar, the ledger."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from examples.shop.ledger import Ledger

BAR_WIDTH = 30
EVERY_PERCENT = 10


def say(text: str) -> None:
    """One line of the story."""
    end = "\r\033[K" if sys.stdout.isatty() else ""
    sys.stdout.write(f"{end}- {text}\n")
    sys.stdout.flush()


class Progress:
    """How far the replay is: a bar that moves on a terminal, a line now and then in a log."""

    def __init__(self, total: int) -> None:
        self._total, self._began = total, time.monotonic()
        self._said = -1

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def show(self, placed: int, counts: Mapping[str, int]) -> None:
        """Show ``placed`` orders, and how many of them have ended how."""
        ended = sum(counts.get(how, 0) for how in ("completed", "compensated", "parked"))
        share = ended / self._total
        filled = int(share * BAR_WIDTH)
        text = (
            f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {placed:,}/{self._total:,} ordered, "
            f"{counts.get('completed', 0):,} completed, "
            f"{counts.get('compensated', 0):,} compensated, {counts.get('parked', 0):,} parked, "
            f"{self.seconds:.0f} s"
        )
        if sys.stdout.isatty():
            sys.stdout.write(f"\r\033[K{text}")
            sys.stdout.flush()
        elif int(share * 100) // EVERY_PERCENT > self._said:
            self._said = int(share * 100) // EVERY_PERCENT
            sys.stdout.write(f"  {text}\n")
            sys.stdout.flush()


def show_ledger(ledger: Ledger, seconds: float) -> None:
    """Print the ledger."""
    outcomes = ledger.outcomes
    named = {how: outcomes[how] for how in ("completed", "compensated", "parked")}
    other = ledger.orders_in - sum(named.values())
    unfinished = f" + UNFINISHED {other:,}" if other else ""
    orders = (
        f"orders in {ledger.orders_in:,} = completed {named['completed']:,} + compensated "
        f"{named['compensated']:,} + parked {named['parked']:,}{unfinished}"
    )
    cents = (
        f"money in {money(ledger.cents_in)} = kept {money(ledger.cents_kept)} + refunded "
        f"{money(ledger.cents_refunded)}"
    )
    events = (
        f"events {ledger.events:,}, lost {ledger.lost:,}, effects doubled {ledger.doubled:,}; "
        f"{ledger.orders_in / seconds:,.0f} orders/s from the first order to the last saga's end"
    )
    title = "THE LEDGER, by plain SQL on four databases, beside the file"
    lines = ["", title, orders, cents, events]
    lines += [f"PROBLEM {problem}" for problem in ledger.problems[:20]]
    if len(ledger.problems) > 20:
        lines.append(f"PROBLEM ... and {len(ledger.problems) - 20} more")
    verdict = "balances, to the cent" if ledger.balances else "does NOT balance"
    lines += [f"The ledger {verdict}.", ""]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def money(cents: int) -> str:
    """Cents as dollars."""
    return f"${cents // 100:,}.{cents % 100:02}"
