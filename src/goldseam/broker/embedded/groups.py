"""Consumer groups of the embedded broker: who is there, and who owns which partition.

Everything is decided under the lock of the group's row. A partition moves in two steps: first
it is wanted by another member, then its owner gives it up; only a silent owner is passed over.
All functions are colourless: they await only the connection they are given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from goldseam.broker.embedded.topics import sql
from goldseam.broker.errors import FencedMember
from goldseam.broker.port import Member
from goldseam.broker.record import Partition
from goldseam.database.connection import Connection

_topics_decoder = msgspec.json.Decoder(list[str])


class Joined(msgspec.Struct, frozen=True):
    """One member's claim to its place; ``incarnation`` tells a process from its predecessor."""

    group: str
    member: str
    incarnation: str
    instance: str | None
    topics: tuple[str, ...]
    session_us: int


class Owned(msgspec.Struct, frozen=True):
    """What a member owns, and which of that somebody else waits for."""

    mine: frozenset[Partition]
    wanted: frozenset[Partition]


class Seat(msgspec.Struct):
    """One partition in a group."""

    owner: str | None
    wanted_by: str | None


async def beat(connection: Connection, who: Joined, now_us: int, *, joining: bool) -> Owned:
    """Say that ``who`` is alive; see what it owns.

    Raises:
        FencedMember: another process has taken the place of this one, or its session is over.
    """
    await connection.fetch(sql(connection, "make_group"), {"group": who.group})
    await lock(connection, who.group)
    if joining:
        await _sit_down(connection, who, now_us)
    else:
        await _stay(connection, who, now_us)
    return _owned(await _arrange(connection, who.group, now_us), who.member)


async def _sit_down(connection: Connection, who: Joined, now_us: int) -> None:
    await connection.fetch(
        sql(connection, "put_member"),
        {
            "group": who.group,
            "member": who.member,
            "incarnation": who.incarnation,
            "instance": who.instance,
            "topics": msgspec.json.encode(who.topics).decode(),
            "session_us": who.session_us,
            "seen_us": now_us,
        },
    )


async def _stay(connection: Connection, who: Joined, now_us: int) -> None:
    name = {"group": who.group, "member": who.member, "incarnation": who.incarnation}
    if not await connection.fetch(sql(connection, "seen"), {**name, "seen_us": now_us}):
        raise fenced(who)


def fenced(who: Joined) -> FencedMember:
    """The error for a member that the group has gone on without."""
    return FencedMember(
        f"group {who.group!r} has gone on without this member ({who.instance or 'dynamic'}): its "
        "session ended, or another process joined under its id; join again"
    )


async def release(
    connection: Connection, who: Joined, partitions: Collection[Partition], now_us: int
) -> Owned:
    """Give ``partitions`` to whoever waits for them."""
    await lock(connection, who.group)
    seats = await _seats(connection, who.group)
    for place in partitions:
        seat = seats.get(place)
        if seat is not None and seat.owner == who.member:
            seat.owner = None
            await _put(connection, who.group, place, seat)
    return _owned(await _arrange(connection, who.group, now_us), who.member)


async def leave(connection: Connection, who: Joined, now_us: int) -> None:
    """Give up the place, unless another process sits on it by now."""
    await lock(connection, who.group)
    name = {"group": who.group, "member": who.member, "incarnation": who.incarnation}
    if await connection.fetch(sql(connection, "delete_member"), name):
        await _arrange(connection, who.group, now_us)


async def commit(connection: Connection, who: Joined, offsets: Mapping[Partition, int]) -> None:
    """Store next offsets of partitions that ``who`` owns.

    Raises:
        FencedMember: it does not own one of them any more; nothing is stored.
    """
    await lock(connection, who.group)
    name = {"group": who.group, "member": who.member}
    found = await connection.fetch(sql(connection, "incarnation"), name)
    if not found or found[0][0] != who.incarnation:
        raise fenced(who)
    seats = await _seats(connection, who.group)
    for place in offsets:
        seat = seats.get(place)
        if seat is None or seat.owner != who.member:
            raise FencedMember(
                f"group {who.group!r}: {place.topic}/{place.number} belongs to another member "
                "now; its offset was not stored"
            )
    await store_offsets(connection, who.group, offsets)


async def store_offsets(
    connection: Connection, group: str, offsets: Mapping[Partition, int]
) -> None:
    """Store next offsets; who may do so was asked before."""
    rows = [
        {"group": group, "topic": place.topic, "number": place.number, "next_offset": offset}
        for place, offset in offsets.items()
    ]
    await connection.execute_many(sql(connection, "put_offset"), rows)


async def offsets(connection: Connection, group: str) -> dict[Partition, int]:
    """The stored offsets of ``group``."""
    rows = await connection.fetch(sql(connection, "offsets"), {"group": group})
    return {Partition(topic, number): offset for topic, number, offset in rows}


async def members(connection: Connection, group: str, now_us: int) -> list[Member]:
    """The members whose sessions have not ended."""
    seats = await _seats(connection, group)
    rows = await connection.fetch(sql(connection, "members"), {"group": group})
    return [
        Member(
            id=member,
            instance=instance,
            partitions=tuple(place for place, seat in seats.items() if seat.owner == member),
        )
        for member, _, instance, _, session_us, seen_us in rows
        if seen_us + session_us >= now_us
    ]


async def lock(connection: Connection, group: str, *, more: int = 0) -> int:
    """Take turns; the group's generation, raised by ``more``."""
    row = {"group": group, "more": more}
    found = await connection.fetch(sql(connection, "lock_group"), row)
    return int(found[0][0]) if found else 0


async def _arrange(connection: Connection, group: str, now_us: int) -> dict[Partition, Seat]:
    """Pass over the silent, spread the partitions evenly, move as few as possible."""
    alive = await _alive(connection, group, now_us)
    seats = await _seats(connection, group)
    places = await _places(connection, alive)
    before = {place: (seat.owner, seat.wanted_by) for place, seat in seats.items()}
    for place in places:
        seats.setdefault(place, Seat(None, None))
    for place, seat in seats.items():
        if seat.owner is not None and place.topic not in alive.get(seat.owner, ()):
            seat.owner = None
    for place, member in spread(seats, alive).items():
        seat = seats[place]
        if seat.owner is None:
            seat.owner, seat.wanted_by = member, None
        else:
            seat.wanted_by = None if member == seat.owner else member
    changed = [
        place for place, seat in seats.items() if before.get(place) != (seat.owner, seat.wanted_by)
    ]
    for place in changed:
        await _put(connection, group, place, seats[place])
    if changed:
        await lock(connection, group, more=1)
    return seats


def spread(
    seats: Mapping[Partition, Seat], alive: Mapping[str, Collection[str]]
) -> dict[Partition, str | None]:
    """Whom each partition should go to: even, and with its owner where that is even."""
    target: dict[Partition, str | None] = dict.fromkeys(seats)
    held: dict[str, list[Partition]] = {member: [] for member in sorted(alive)}
    for topic in sorted({place.topic for place in seats}):
        readers = [member for member in held if topic in alive[member]]
        if not readers:
            continue
        places = sorted(place for place in seats if place.topic == topic)
        fair, more = divmod(len(places), len(readers))
        count = dict.fromkeys(readers, 0)
        homeless = []
        for place in places:
            owner = seats[place].owner
            allowed = fair + 1 if more else fair
            if owner in count and count[owner] < allowed:
                more -= count[owner] == fair
                count[owner] += 1
                held[owner].append(place)
                target[place] = owner
            else:
                homeless.append(place)
        for place in homeless:
            reader = min(readers, key=lambda one: (count[one], len(held[one]), one))
            count[reader] += 1
            held[reader].append(place)
            target[place] = reader
    return target


async def _alive(connection: Connection, group: str, now_us: int) -> dict[str, Sequence[str]]:
    alive: dict[str, Sequence[str]] = {}
    rows = await connection.fetch(sql(connection, "members"), {"group": group})
    for member, _, _, topics, session_us, seen_us in rows:
        if seen_us + session_us < now_us:
            await connection.fetch(
                sql(connection, "remove_member"), {"group": group, "member": member}
            )
        else:
            alive[member] = _topics_decoder.decode(topics)
    return alive


async def _places(connection: Connection, alive: Mapping[str, Collection[str]]) -> list[Partition]:
    names = sorted({name for topics in alive.values() for name in topics})
    places: list[Partition] = []
    for name in names:
        found = await connection.fetch(sql(connection, "partitions_of"), {"topic": name})
        places += [Partition(name, n) for n in range(found[0][0] if found else 0)]
    return places


async def _seats(connection: Connection, group: str) -> dict[Partition, Seat]:
    rows = await connection.fetch(sql(connection, "assignments"), {"group": group})
    return {Partition(topic, number): Seat(owner, wanted) for topic, number, owner, wanted in rows}


async def _put(connection: Connection, group: str, place: Partition, seat: Seat) -> None:
    await connection.fetch(
        sql(connection, "put_assignment"),
        {
            "group": group,
            "topic": place.topic,
            "number": place.number,
            "owner": seat.owner,
            "wanted_by": seat.wanted_by,
        },
    )


def _owned(seats: Mapping[Partition, Seat], member: str) -> Owned:
    mine = frozenset(place for place, seat in seats.items() if seat.owner == member)
    return Owned(mine, frozenset(place for place in mine if seats[place].wanted_by is not None))
