"""Which partition a record goes to: the same key always to the same one."""

from __future__ import annotations

from zlib import crc32

from goldseam.broker.record import Record


def partition_of(record: Record, partitions: int, turn: int) -> int:
    """The partition for ``record`` among ``partitions``.

    The CRC-32 of its key, as librdkafka's default partitioner takes it; a record without a key
    goes where it is its ``turn``.
    """
    if record.partition is not None:
        return record.partition
    if record.key is None:
        return turn % partitions
    return crc32(record.key) % partitions
