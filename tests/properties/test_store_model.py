"""The store against a model of one page: every append and read answers what the model says.

Hypothesis draws programs of appends (several streams, tenants, keys, ids, fences), repetitions,
reads, and closing and opening again. What is stored is compared through other people's SQL too.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from goldseam import ANY, EXISTS, NEW, EventStore, Fence, NewEvent, VersionConflict, open_store
from goldseam.errors import Fenced, IdempotencyMismatch, InvalidPosition
from goldseam.resilience.clock import uuid7_bytes
from tests.crashes.outside import query
from tests.faults.ledger import ParcelScanned
from tests.faults.model import Answer, Content, Fact, Model

EXAMPLES = 15
STEPS = 30
EXAMPLES_LONG = 500
STEPS_LONG = 60
TENANTS = ("main", "acme")
NAMES = ("a-1", "a-2", "b-1", "b")

_tenants = st.sampled_from(TENANTS)
_streams = st.sampled_from(NAMES)
_expected = st.sampled_from(["any", "exists", "new", "exact", "ahead", "behind"])
_marks = st.lists(st.sampled_from("xyz"), min_size=1, max_size=3).map(tuple)
_writes = st.lists(
    st.tuples(_streams, _expected, _marks), min_size=1, max_size=3, unique_by=lambda one: one[0]
)
_keys = st.none() | st.sampled_from(["k1", "k2"])
_fences = st.none() | st.tuples(st.sampled_from(["f1", "f2"]), st.integers(0, 4))
_limits = st.integers(1, 6)
_examples = itertools.count(1)


@dataclass(frozen=True)
class Call:
    """One append as it was made, to be made again."""

    tenant: str
    content: Content
    ids: tuple[str, ...]
    key: str | None
    fence: tuple[str, int] | None


class StoreMachine(RuleBasedStateMachine):
    """One example: streams, keys and fences of its own in a store that all examples share."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.runner = asyncio.Runner()
        self.number = next(_examples)
        self.calls: list[Call] = []

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def named(self, name: str) -> str:
        return f"n{self.number}{name}"

    @initialize()
    def open(self) -> None:
        self.store: EventStore = self.run(open_store(self.url))
        self.base = self.run(self.store.head())
        self.model = Model(head=self.base)

    def teardown(self) -> None:
        with self.runner:
            if not hasattr(self, "store"):
                return
            self.run(self.store.close())
            rows = query(
                self.url,
                "SELECT position, tenant, stream, version FROM goldseam_events"
                " WHERE position > ? ORDER BY position",
                self.base,
            )
            assert [tuple(one[:4]) for one in self.model.log] == rows

    # ------------------------------------------------------------------ writing

    @rule(tenant=_tenants, writes=_writes, key=_keys, fence=_fences)
    def append(
        self,
        tenant: str,
        writes: list[tuple[str, str, tuple[str, ...]]],
        key: str | None,
        fence: tuple[str, int] | None,
    ) -> None:
        content = tuple(
            (self.named(stream), self.expected(tenant, self.named(stream), word), marks)
            for stream, word, marks in writes
        )
        ids = tuple(str(UUID(bytes=uuid7_bytes())) for *_, marks in content for _ in marks)
        call = Call(
            tenant,
            content,
            ids,
            None if key is None else self.named(key),
            None if fence is None else (self.named(fence[0]), fence[1]),
        )
        self.calls.append(call)
        self.compare(call)

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 1_000))
    def append_again(self, which: int) -> None:
        self.compare(self.calls[which % len(self.calls)])

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 1_000))
    def append_other_content_under_the_same_names(self, which: int) -> None:
        call = self.calls[which % len(self.calls)]
        stream, expected, marks = call.content[0]
        other = ((stream, expected, ("other", *marks[1:])), *call.content[1:])
        changed = Call(call.tenant, other, call.ids, call.key, call.fence)
        self.compare(changed)

    def expected(self, tenant: str, stream: str, word: str) -> int:
        actual = self.model.version(tenant, stream)
        exact = {"exact": actual, "ahead": actual + 1, "behind": max(actual - 1, 0)}
        return {"any": ANY, "exists": EXISTS, "new": NEW, **exact}[word]

    def compare(self, call: Call) -> None:
        answer = self.model.append(call.tenant, call.content, call.ids, call.key, call.fence)
        assert answer == self.run(self.really(call))

    async def really(self, call: Call) -> Answer:
        ids = iter(call.ids)
        writes = [
            (stream, expected, [NewEvent(ParcelScanned(m), id=UUID(next(ids))) for m in marks])
            for stream, expected, marks in call.content
        ]
        fence = None if call.fence is None else Fence(*call.fence)
        view = self.store.for_tenant(call.tenant)
        try:
            done = await view.append_all(writes, key=call.key, fence=fence)
        except VersionConflict as error:
            return Answer("conflict", detail=error.actual)
        except Fenced as error:
            return Answer("fenced", detail=error.current)
        except IdempotencyMismatch:
            return Answer("mismatch")
        outcome = "replayed" if done.replayed else "committed"
        versions = tuple(done.versions[stream] for stream, _, _ in call.content)
        return Answer(outcome, done.first_position, done.position, versions)

    @rule()
    def close_and_open(self) -> None:
        self.run(self.store.close())
        self.store = self.run(open_store(self.url))

    # ------------------------------------------------------------------ reading

    def facts(self, tenant: str, events: Any) -> list[Fact]:
        return [Fact(e.position, tenant, e.stream, e.version, e.data.mark) for e in events]

    @rule(tenant=_tenants, stream=_streams, after=st.integers(0, 8), limit=_limits)
    def read_stream(self, tenant: str, stream: str, after: int, limit: int) -> None:
        view, name = self.store.for_tenant(tenant), self.named(stream)
        truth = self.model.stream(tenant, name)
        found = self.run(view.read_stream(name, after=after, limit=limit))
        assert truth[after:][:limit] == self.facts(tenant, found)
        back = self.run(view.read_stream_backwards(name, before=after + 1, limit=limit))
        assert truth[:after][::-1][:limit] == self.facts(tenant, back)
        assert len(truth) == self.run(view.stream_version(name))

    @rule(tenant=_tenants, category=st.sampled_from("ab"), skip=st.integers(0, 8), limit=_limits)
    def read_category(self, tenant: str, category: str, skip: int, limit: int) -> None:
        view, name = self.store.for_tenant(tenant), self.named(category)
        truth = self.model.category(tenant, name)
        after = self.base + skip
        found = self.run(view.read_category(name, after=after, limit=limit))
        assert [one for one in truth if one.position > after][:limit] == self.facts(tenant, found)
        back = self.run(view.read_category_backwards(name, before=after, limit=limit))
        older = [one for one in truth if one.position < after][::-1]
        assert older[:limit] == self.facts(tenant, back)

    @rule(tenant=_tenants, skip=st.integers(0, 12), limit=_limits)
    def read_log(self, tenant: str, skip: int, limit: int) -> None:
        view, after = self.store.for_tenant(tenant), self.base + skip
        truth = [one for one in self.model.all(tenant) if one.position > after]
        found = self.run(view.read_all(after=after, limit=limit))
        assert truth[:limit] == self.facts(tenant, found)
        older = [one for one in self.model.all(tenant) if one.position < after][::-1]
        back = self.run(view.read_all_backwards(before=after, limit=limit))
        mine = [one for one in self.facts(tenant, back) if one.position > self.base]
        assert older[:limit] == mine

    @rule()
    def head_and_tokens(self) -> None:
        head = self.run(self.store.head())
        assert self.model.head == head
        assert head == self.run(self.store.position_of(self.store.token(head)))
        with pytest.raises(InvalidPosition):
            self.run(self.store.position_of(self.store.token(head + 1)))


def _check(url: str, examples: int, steps: int) -> None:
    asyncio.run(_create(url))
    run_state_machine_as_test(
        lambda: StoreMachine(url),  # type: ignore[arg-type]
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None),
    )


async def _create(url: str) -> None:
    await (await open_store(url)).close()


def test_the_store_answers_what_the_model_says(store_url: str) -> None:
    """Appends, repetitions, refusals, reads and reopening: no difference from the model."""
    _check(store_url, EXAMPLES, STEPS)


@pytest.mark.parametrize("count", [1, 2])
async def test_a_stream_that_must_exist_and_does_not_is_a_conflict(
    store_url: str, count: int
) -> None:
    """Found by the model: an unknown version must not count as one that holds."""
    async with await open_store(store_url) as store:
        with pytest.raises(VersionConflict, match="exists"):
            await store.append("a-1", [ParcelScanned("x")] * count, expected=EXISTS)
        assert 0 == await store.head()


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_the_store_answers_what_the_model_says_for_long(store_url: str) -> None:
    """The same with more and longer programs."""
    _check(store_url, EXAMPLES_LONG, STEPS_LONG)
