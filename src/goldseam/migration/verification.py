"""Source and target compared: the log's own proof, each event in its place, each stream's sum."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import blake2b
from itertools import zip_longest

import msgspec

from goldseam.database.connection import Connection, Database
from goldseam.events.event import RawEvent
from goldseam.migration.errors import MigrationDamaged
from goldseam.migration.position_map import START, MapBuilder, Run, run_of
from goldseam.migration.progress import Progress, sql_of
from goldseam.migration.stepper import Stepper
from goldseam.migration.transform import Named
from goldseam.store.raw import raw_page
from goldseam.store.verify import Damage, verify

PAGE_EVENTS = 1_000
DIFFERENCES_MAX = 20
"""Differing events and streams that are told one by one; all are counted."""

_DIGEST_BYTES = 16
_COMPARED = (
    "tenant", "stream", "type", "type_version", "payload", "recorded_us", "id_bytes",
    "metadata_bytes",
)  # fmt: skip


class Difference(msgspec.Struct, frozen=True):
    """One event that is not as it should be. It names columns, never their values."""

    target_position: int
    stream: str
    columns: tuple[str, ...]


class StreamDifference(msgspec.Struct, frozen=True):
    """One stream whose events or their contents are not those that the source gives."""

    tenant: str
    stream: str
    expected: int
    found: int


class Report(msgspec.Struct, frozen=True):
    """What the comparison found, up to the positions that the migration had reached."""

    source_position: int
    target_position: int
    expected_events: int
    found_events: int
    streams: int
    damages: Sequence[Damage]
    different_events: int
    differences: Sequence[Difference]
    different_streams: int
    stream_differences: Sequence[StreamDifference]
    map_agrees: bool

    @property
    def ok(self) -> bool:
        """Whether nothing is missing, extra, different or damaged."""
        same = self.expected_events == self.found_events and self.map_agrees
        return same and not (self.damages or self.different_events or self.different_streams)

    def require(self) -> None:
        """Do nothing if it is ok.

        Raises:
            MigrationDamaged: it is not.
        """
        if not self.ok:
            raise MigrationDamaged(
                f"{self.expected_events} event(s) expected and {self.found_events} found in the "
                f"target, {self.different_events} differ, {len(self.damages)} damage(s); see "
                "`goldseam migrate verify`, then abort and migrate into an empty store"
            )


class _Sums:
    """Count and running hash of each stream: about 300 bytes a stream."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], tuple[int, bytes]] = {}

    def add(self, one: RawEvent) -> None:
        key = one.tenant, one.stream
        count, digest = self.of.get(key, (0, b""))
        head = msgspec.json.encode((digest.hex(), one.type, one.type_version, one.recorded_us))
        parts = (head, one.id_bytes, one.metadata_bytes, b"\0", one.payload)
        self.of[key] = count + 1, blake2b(b"".join(parts), digest_size=_DIGEST_BYTES).digest()


class _Comparison:
    def __init__(self, source: Database, target: Database, named: Named, until: Progress) -> None:
        self._source, self._target, self._named, self._until = source, target, named, until
        self.expected, self.found = _Sums(), _Sums()
        self.differences: list[Difference] = []
        self.different = self.expected_events = self.found_events = 0
        self.map_agrees = True
        self._mapped_to = 0

    async def walk(self, told: Callable[[int], object]) -> None:
        """Both logs side by side, page by page."""
        expected: deque[RawEvent] = deque()
        found = _pages(self._target, self._until.target_position)
        position = 0
        async for page in self._transformed():
            expected += page
            while len(expected) >= PAGE_EVENTS:
                position = await self._against(expected, found, position, told)
        while expected:
            position = await self._against(expected, found, position, told)
        async for rest in found:
            position = self._compare([], rest, position)

    async def _against(
        self,
        expected: deque[RawEvent],
        found: AsyncIterator[list[RawEvent]],
        position: int,
        told: Callable[[int], object],
    ) -> int:
        there: list[RawEvent] = await anext(found, [])
        count = len(there) or len(expected)
        mine = [expected.popleft() for _ in range(min(count, len(expected)))]
        told(position)
        return self._compare(mine, there, position)

    async def _transformed(self) -> AsyncIterator[list[RawEvent]]:
        stepper, builder = Stepper(self._named, {}), MapBuilder(START, 0)
        async for page in _pages(self._source, self._until.source_position):
            made: list[RawEvent] = []
            for event in page:
                given = stepper.step(event)
                made += given
                builder.add(event.position, len(given), settled=not stepper.held)
            await self._check_map(builder, page[-1].position)
            yield made
        if self._until.phase == "done":
            yield stepper.finish()

    async def _check_map(self, builder: MapBuilder, last: int) -> None:
        """The stored runs of this page are those that the transform gives now."""
        wanted, builder.begun = builder.begun, []
        first = self._mapped_to
        self._mapped_to = last

        async def stored(connection: Connection) -> list[Run]:
            between = {"after": first, "until": last}
            rows = await connection.fetch(sql_of(connection)["runs_between"], between)
            return [run_of(row) for row in rows]

        there: list[Run] = await self._target.read_one(stored)
        if self._until.phase == "done" and last == self._until.source_position:
            # What the cut-over added there says that nothing waits any more.
            wanted = [one for one in wanted if one.source_first != last]
            there = [one for one in there if one.source_first != last]
        self.map_agrees = self.map_agrees and wanted == there

    def _compare(
        self, expected: Sequence[RawEvent], found: Sequence[RawEvent], position: int
    ) -> int:
        self.expected_events += len(expected)
        self.found_events += len(found)
        for wanted, there in zip_longest(expected, found):
            position += 1
            if wanted is not None:
                self.expected.add(wanted)
            if there is not None:
                self.found.add(there)
            columns = _differing(wanted, there)
            if columns:
                self.different += 1
                if len(self.differences) < DIFFERENCES_MAX:
                    stream = (there or wanted).stream
                    self.differences.append(Difference(position, stream, columns))
        return position

    def streams(self) -> list[StreamDifference]:
        """The streams whose sums differ."""
        one, other = self.expected.of, self.found.of
        nothing = (0, b"")
        return [
            StreamDifference(*key, one.get(key, nothing)[0], other.get(key, nothing)[0])
            for key in sorted(one.keys() | other.keys())
            if one.get(key) != other.get(key)
        ]


async def compare(
    source: Database,
    target: Database,
    named: Named,
    until: Progress,
    told: Callable[[int], object] = lambda _: None,
) -> Report:
    """Run the source through the transform again and hold the target against it.

    Args:
        until: the positions to compare up to; what came later is left alone.
        told: called now and then with the target's position.
    """
    damages: list[Damage] = []
    async for step in verify(target):
        damages += step.damages
        told(step.position)
    work = _Comparison(source, target, named, until)
    if not damages:  # a damaged log is not served, so it cannot be compared
        await work.walk(told)
    streams = work.streams()
    return Report(
        source_position=until.source_position,
        target_position=until.target_position,
        expected_events=work.expected_events,
        found_events=work.found_events,
        streams=len(work.expected.of),
        damages=damages[:DIFFERENCES_MAX],
        different_events=work.different,
        differences=work.differences,
        different_streams=len(streams),
        stream_differences=streams[:DIFFERENCES_MAX],
        map_agrees=work.map_agrees,
    )


async def _pages(database: Database, until: int) -> AsyncIterator[list[RawEvent]]:
    after = 0
    while after < until:
        limit = min(PAGE_EVENTS, until - after)
        page = await database.read_one(
            lambda c, start=after, size=limit: raw_page(c, after=start, limit=size)  # type: ignore[misc]
        )
        if not page:
            return
        after = page[-1].position
        yield page


def _differing(wanted: RawEvent | None, there: RawEvent | None) -> tuple[str, ...]:
    if wanted is None or there is None:
        return ("missing" if there is None else "extra",)
    return tuple(name for name in _COMPARED if getattr(wanted, name) != getattr(there, name))
