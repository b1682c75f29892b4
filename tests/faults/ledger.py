"""What writers sent and what they were told, beside what is really stored: where do they differ?

Writers report through a file, a line for each fact, written before the next step is taken; a line
that was written survives SIGKILL. Each event carries a mark of its own, so that an event stored
twice under two ids is seen too.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from goldseam import event
from tests.crashes.outside import query


@event
class ParcelScanned:
    """The event of the fault tests: something happened, and its mark says which."""

    mark: str
    weight: str = ""


class Stored(NamedTuple):
    """One event as somebody else's SQL sees it."""

    position: int
    stream: str
    version: int
    mark: str


@dataclass
class Sent:
    """One append: its marks and ids, and what its writer was told."""

    name: str
    stream: str
    marks: list[str]
    ids: list[str]
    doomed: bool = False
    answers: list[tuple[int, int]] = field(default_factory=list)
    refused: bool = False

    @property
    def open(self) -> bool:
        """Whether its writer does not know how it ended."""
        return not self.answers and not self.refused


class Reporter:
    """A writer's side of the ledger file: one write call for each line.

    A kill can cut a line at a page's end: then the writer did not get so far, and the next life
    begins a line of its own.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(self._file, b"\n")

    def tell(self, fact: str, **what: object) -> None:
        """Add one line; it is in the operating system's hands when this returns."""
        os.write(self._file, (json.dumps({"fact": fact, **what}) + "\n").encode())

    def close(self) -> None:
        os.close(self._file)


def ledger(paths: Iterable[Path]) -> dict[str, Sent]:
    """Everything that was sent, by name."""
    found: dict[str, Sent] = {}
    for line in _lines(paths):
        match line.pop("fact"):
            case "sent":
                found.setdefault(line["name"], Sent(**line))
            case "acked":
                found[line["name"]].answers.append((line["first"], line["last"]))
            case "refused":
                found[line["name"]].refused = True
    return found


def _lines(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        for line in path.read_bytes().splitlines() if path.exists() else ():
            with suppress(json.JSONDecodeError):  # empty, or cut by a kill
                yield json.loads(line)


def stored(url: str, table: str = "goldseam_events") -> list[Stored]:
    """The log in the order of its positions, through the driver alone."""
    rows = query(url, f"SELECT position, stream, version, payload FROM {table} ORDER BY position")
    return [
        Stored(position, stream, version, json.loads(bytes(payload))["mark"])
        for position, stream, version, payload in rows
    ]


def problems(sent: dict[str, Sent], log: Sequence[Stored]) -> list[str]:
    """Every difference between the promises and the log, as sentences."""
    return [*_broken_log(log), *_broken_promises(sent, log)]


def _broken_log(log: Sequence[Stored]) -> Iterator[str]:
    for mark, times in Counter(one.mark for one in log).items():
        if times > 1:
            yield f"duplicate: {mark} is stored {times} times"
    for place, one in enumerate(log, 1):
        if one.position != place:
            yield f"gap: place {place} of the log has position {one.position}"
            break
    versions: Counter[str] = Counter()
    for one in log:
        versions[one.stream] += 1
        if one.version != versions[one.stream]:
            yield f"version: {one.stream} has {one.version} in place {versions[one.stream]}"


def _broken_promises(sent: dict[str, Sent], log: Sequence[Stored]) -> Iterator[str]:
    places = {one.mark: one.position for one in log}
    known = {mark for one in sent.values() for mark in one.marks}
    for fact in log:
        if fact.mark not in known:
            yield f"phantom: {fact.mark} is stored and was never sent"
    for one in sent.values():
        found = [places[mark] for mark in one.marks if mark in places]
        yield from (_one_stored(one, found) if found else _one_missing(one))


def _one_missing(one: Sent) -> Iterator[str]:
    if one.answers:
        yield f"lost: {one.name} was acknowledged at {one.answers[0]} and is not stored"


def _one_stored(one: Sent, found: list[int]) -> Iterator[str]:
    if len(found) != len(one.marks):
        yield f"torn: {one.name} has {len(found)} of {len(one.marks)} events"
    if any(right - left != 1 for left, right in pairwise(found)):
        yield f"torn: {one.name} is scattered over positions {found}"
    if one.refused or one.doomed:
        yield f"phantom: {one.name} was refused and is stored"
    for answer in one.answers:
        if answer != (found[0], found[-1]):
            yield f"misplaced: {one.name} was told {answer} and is at {found}"
