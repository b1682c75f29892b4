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
        for known, name in ((self.keys, key), (self.ids, ids)):
            first = known.get((tenant, name)) if name is not None else None  # type: ignore[call-overload]
            if first is not None:
                same = _same(first[0], content, by_key=name is key)
                return first[1]._replace(outcome="replayed") if same else Answer("mismatch")
        if fence is not None and fence[1] < self.fences.get((tenant, fence[0]), 0):
            return Answer("fenced")
        if not all(self._holds(tenant, stream, expected) for stream, expected, _ in content):
            return Answer("conflict")
        answer = self._store(tenant, content)
        self.ids[tenant, ids] = content, answer
        if key is not None:
            self.keys[tenant, key] = content, answer
        if fence is not None:
            self.fences[tenant, fence[0]] = fence[1]
        return answer

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


def _same(first: Content, second: Content, *, by_key: bool) -> bool:
    """A key is for one whole write; ids are for its facts, whatever version is expected now."""
    if by_key:
        return first == second
    return _facts(first) == _facts(second)


def _facts(content: Content) -> Sequence[tuple[str, tuple[str, ...]]]:
    return [(stream, marks) for stream, _, marks in content]
