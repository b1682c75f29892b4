"""The guide's four services and their books: what really happened, whatever the saga believes.

Each takes a key once (it is idempotent) and knows which keys were undone before they came: what
arrives after its own compensation has no effect. ``trouble`` says what goes wrong at which action.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from goldseam import StepRefused

STEPS = ("place", "reserve", "charge", "ship")
UNDO = {"place": "cancel", "reserve": "release", "charge": "refund", "ship": "recall"}
STEP_OF = {undo: step for step, undo in UNDO.items()}

KINDS = ("error", "timeout", "late", "stale", "duplicate", "lost", "refuse")
ALWAYS = 10_000


class Trouble(msgspec.Struct):
    """One of ``KINDS``, so many times.

    error: nothing has happened. timeout: nothing, and no answer. late: it happens after the next
    attempt has begun. stale: it happens when the saga has long ended. duplicate: it arrives
    twice. lost: it has happened, and the answer is lost.
    """

    kind: str
    times: int = 1


def _at_once(work: Callable[[], None]) -> Awaitable[None]:
    async def done() -> None:
        work()

    return done()


class Services:
    """Order, inventory, payment and shipment."""

    def __init__(self, trouble: Mapping[str, Trouble] | None = None) -> None:
        self._trouble = {action: Trouble(t.kind, t.times) for action, t in (trouble or {}).items()}
        self.asked: Counter[str] = Counter()
        """How often each key has arrived."""
        self.done: list[str] = []
        """The actions that took effect, in order."""
        self._keys: dict[str, set[str]] = {}
        self._late: list[tuple[str, str]] = []
        self.refusals: list[str] = []
        self.pass_: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]] = lambda work: work()
        """Around each arrival: a crash of the caller may come before and after it."""

    def trouble_at(self, action: str) -> str:
        """What goes wrong with the arrival that is here now; empty: nothing."""
        trouble = self._trouble.get(action)
        if trouble is None or trouble.times == 0:
            return ""
        trouble.times -= 1
        return trouble.kind

    def mend(self) -> None:
        """Nothing goes wrong any more."""
        self._trouble.clear()

    async def call(self, action: str, key: str) -> None:
        """A step calls: the answer is this coroutine's end."""
        await self.pass_(lambda: self._arrive(action, key))

    async def _arrive(self, action: str, key: str) -> None:
        kind = self.take(action, key)
        if kind == "refuse":
            raise StepRefused(f"{action} is not possible")
        if kind == "error":
            raise RuntimeError(f"{action} has failed")
        if kind in ("timeout", "late", "stale"):
            await asyncio.Event().wait()
        if kind == "lost":
            raise ConnectionError("the answer is lost")

    def take(self, action: str, key: str) -> str:
        """Let a request arrive; what went wrong with it."""
        self.asked[key] += 1
        self._keys.setdefault(action, set()).add(key)
        kind = self.trouble_at(action)
        if kind == "refuse":
            self.refusals.append(action)
        elif kind in ("late", "stale"):
            self._late.append((action, kind))
        elif kind not in ("error", "timeout"):
            self._effect(action)
            if kind == "duplicate":
                self.asked[key] += 1
                self._effect(action)
        return kind

    def _effect(self, action: str) -> None:
        """Once, and not at all when it was undone before it came."""
        if action not in self.done and UNDO.get(action) not in self.done:
            self.done.append(action)

    def late_ones_arrive(self, kind: str) -> None:
        """What was under way for so long takes effect now, if it still may."""
        came = [action for action, how in self._late if how == kind]
        self._late = [one for one in self._late if one[1] != kind]
        for action in came:
            self._effect(action)

    # ------------------------------------------------------------------ the judge

    def standing(self) -> list[str]:
        """The steps whose effect is there and not undone, in the order of the steps."""
        return [s for s in STEPS if s in self.done and UNDO[s] not in self.done]

    def undone(self) -> list[str]:
        """The steps that were compensated, in the order in which it happened."""
        return [STEP_OF[action] for action in self.done if action in STEP_OF]

    def judge(self, status: str, saga: str) -> None:
        """Every saga ended wholly or not at all, and was undone in reverse order, each once."""
        assert status in ("completed", "compensated", "parked"), status
        assert all(n == 1 for n in Counter(self.done).values()), self.done
        for action, keys in self._keys.items():
            step = STEP_OF.get(action)
            wanted = f"{saga}/{step}/undo" if step else f"{saga}/{action}"
            assert {wanted} == keys, f"{action} came under other keys: {keys}"
        if status == "completed":
            assert list(STEPS) == self.done, self.done
        if status == "compensated":
            assert [] == self.standing(), f"half done: {self.done}"
        backwards = [STEPS.index(step) for step in self.undone()]
        assert backwards == sorted(backwards, reverse=True), f"not in reverse: {self.done}"
        if backwards:
            assert backwards[-1] == 0 or status == "parked", self.done
            assert not set(self.undone()) & set(self.refusals), "undone though it was refused"
