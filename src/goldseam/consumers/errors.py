"""What can go wrong with a consumer: a declaration, a promise that cannot be kept, a lost race."""

from __future__ import annotations

from goldseam.errors import GoldseamError, InvalidInput, Rejected


class ConsumerError(InvalidInput):
    """A consumer is declared or started in a way that cannot work."""

    failure = "delivery/effectively-once"


class ModeRefused(ConsumerError):
    """The declared mode cannot be kept with what the consumer was given."""

    def __init__(self, consumer: str, mode: str, why: str, instead: str) -> None:
        self.consumer, self.mode = consumer, mode
        super().__init__(f"consumer {consumer!r} cannot be {mode}: {why}; {instead}")


class RetentionTooShort(ConsumerError):
    """The dedup table forgets an event id while its record can still be delivered again."""

    failure = "idempotency/deduplication-table"

    def __init__(self, consumer: str, has_seconds: float, needs_seconds: float | None) -> None:
        self.has_seconds, self.needs_seconds = has_seconds, needs_seconds
        needed = "for ever" if needs_seconds is None else f"{needs_seconds:.0f} s"
        super().__init__(
            f"consumer {consumer!r} remembers event ids for {has_seconds:.0f} s, and a record can "
            f"come back {needed} (the topics' retention and the oldest redrive); leave out "
            "retention_seconds, shorten the topics' retention, or use Watermark()"
        )


class PartitionMoved(Rejected):
    """Another member has taken the partition meanwhile: this batch had no effect."""

    failure = "consumer/crash-mid-processing"

    def __init__(self, consumer: str, place: str, generation: int) -> None:
        self.consumer, self.place, self.generation = consumer, place, generation
        super().__init__(
            f"consumer {consumer!r} held {place} in generation {generation} and somebody else "
            "holds it now; nothing of the batch was applied, the new holder applies it"
        )


class RecordsExpired(GoldseamError):
    """The topic no longer has the records that this consumer has to apply next."""

    failure = "consumer/slow-consumer"

    def __init__(self, consumer: str, place: str, offset: int, low: int) -> None:
        self.consumer, self.place, self.offset, self.low = consumer, place, offset, low
        super().__init__(
            f"consumer {consumer!r} has to go on at offset {offset} of {place}, and the topic "
            f"begins at {low}: {low - offset} record(s) expired unread; apply them from the store, "
            f"then: goldseam consumers reset {consumer} --to oldest"
        )


class GapDetected(GoldseamError):
    """A stream goes on with a version that does not follow the last one applied."""

    failure = "delivery/effectively-once"

    def __init__(self, stream: str, last: int, version: int) -> None:
        self.stream, self.last, self.version = stream, last, version
        super().__init__(
            f"version {version} of a stream came after version {last}: what lies between is not "
            "on the topic; goldseam ledger names it"
        )


class BrokenHandler(GoldseamError):
    """More sequences stopped than poison explains: the handler is broken."""

    failure = "consumer/poison-message"

    def __init__(self, consumer: str, limit: int) -> None:
        self.consumer = consumer
        super().__init__(
            f"consumer {consumer!r} has stopped more than {limit} sequences; its handler is "
            "broken: mend it, release it, then: goldseam dlq redrive"
        )


class NoPlaceForLetters(ConsumerError):
    """A record failed for good and there is no database to keep it in."""

    failure = "consumer/poison-message"

    def __init__(self, consumer: str, place: str, offset: int) -> None:
        super().__init__(
            f"consumer {consumer!r} cannot handle offset {offset} of {place} and has no database "
            "for its dead letters; give it one, or mend the handler and start it again"
        )
