"""The store as a page of pure code: what every append and read must answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from goldseam import ANY, EXISTS, NEW
from goldseam.store.expected import ExpectedVersion

Content = tuple[tuple[str, ExpectedVersion, tuple[str, ...]], ...]
"""Streams, their expected versions, the marks of their events."""


class Fact(NamedTuple):
    """One stored event."""

    position: int
    tenant: str
    stream: str
    version: int
    mark: str


class Answer(NamedTuple):
    """What an append says: ``committed``, ``replayed`` or why it was refused."""

    outcome: str
    first: int = 0
    last: int = 0
    versions: tuple[int, ...] = ()
    detail: int = 0
    """The version of the stream that conflicts, or the fencing token that is newer."""


@dataclass
class Model:
    """All tenants of one store."""

    head: int = 0
    log: list[Fact] = field(default_factory=list)
    keys: dict[tuple[str, str], tuple[Content, Answer]] = field(default_factory=dict)
    ids: dict[tuple[str, tuple[str, ...]], tuple[Content, Answer]] = field(default_factory=dict)
    fences: dict[tuple[str, str], int] = field(default_factory=dict)

    def version(self, tenant: str, stream: str) -> int:
        """How many events the stream has."""
        return len(self.stream(tenant, stream))

    def stream(self, tenant: str, stream: str) -> list[Fact]:
        """The events of one stream."""
        return [one for one in self.all(tenant) if one.stream == stream]

    def category(self, tenant: str, category: str) -> list[Fact]:
        """The events of all streams of a category."""
        return [one for one in self.all(tenant) if one.stream.partition("-")[0] == category]

    def all(self, tenant: str) -> list[Fact]:
        """The events of one tenant."""
        return [one for one in self.log if one.tenant == tenant]

    def append(
        self,
        tenant: str,
        content: Content,
        ids: tuple[str, ...],
        key: str | None = None,
        fence: tuple[str, int] | None = None,
    ) -> Answer:
        """Judge and store one append: earlier results first, then the fence, then versions."""
        replay = self._replay(tenant, content, ids, key)
        if replay is not None:
            return replay
        newest = 0 if fence is None else self.fences.get((tenant, fence[0]), 0)
        if fence is not None and fence[1] < newest:
            return Answer("fenced", detail=newest)
        for stream, expected, _ in content:
            if not self._holds(tenant, stream, expected):
                return Answer("conflict", detail=self.version(tenant, stream))
        answer = self._store(tenant, content)
        self.ids[tenant, ids] = content, answer
        if key is not None:
            self.keys[tenant, key] = content, answer
        if fence is not None:
            self.fences[tenant, fence[0]] = fence[1]
        return answer

    def _replay(
        self, tenant: str, content: Content, ids: tuple[str, ...], key: str | None
    ) -> Answer | None:
        """A key is for one whole write; ids are for its facts, whatever is expected now."""
        by_key = None if key is None else self.keys.get((tenant, key))
        if by_key is not None:
            same = by_key[0] == content
            return by_key[1]._replace(outcome="replayed") if same else Answer("mismatch")
        by_ids = self.ids.get((tenant, ids))
        if by_ids is not None:
            same = _facts(by_ids[0]) == _facts(content)
            return by_ids[1]._replace(outcome="replayed") if same else Answer("mismatch")
        return None

    def _holds(self, tenant: str, stream: str, expected: ExpectedVersion) -> bool:
        actual = self.version(tenant, stream)
        if expected == ANY:
            return True
        if expected == EXISTS:
            return actual > 0
        return actual == (0 if expected == NEW else expected)

    def _store(self, tenant: str, content: Content) -> Answer:
        first, versions = self.head + 1, []
        for stream, _, marks in content:
            version = self.version(tenant, stream)
            for mark in marks:
                version += 1
                self.head += 1
                self.log.append(Fact(self.head, tenant, stream, version, mark))
            versions.append(version)
        return Answer("committed", first, self.head, tuple(versions))


def _facts(content: Content) -> Sequence[tuple[str, tuple[str, ...]]]:
    return [(stream, marks) for stream, _, marks in content]
