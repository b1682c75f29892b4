"""What can go wrong with dead letters: no room, nothing there, somebody was faster."""

from __future__ import annotations

from goldseam.errors import GoldseamError, InvalidInput, Rejected


class DeadLettersFull(GoldseamError):
    """A bound of the dead letters is reached: the consumer stops instead of losing anything.

    From the guide, "Poison Message".
    """

    failure = "consumer/poison-message"

    def __init__(self, consumer: str, what: str, has: int, limit: int) -> None:
        self.consumer, self.what, self.has, self.limit = consumer, what, has, limit
        super().__init__(
            f"the dead letters of consumer {consumer!r} would hold {has} {what} and may hold "
            f"{limit}; nothing of this batch was applied. Mend the cause, then redrive or discard: "
            f"goldseam dlq groups --consumer {consumer}"
        )


class LetterGone(Rejected):
    """The letter was applied, redriven or discarded by somebody else meanwhile."""

    failure = "consumer/poison-message"

    def __init__(self, letter: int) -> None:
        self.letter = letter
        super().__init__(
            f"dead letter {letter} is not waiting any more; somebody else applied or discarded it. "
            f"Look: goldseam dlq show {letter}"
        )


class NoSuchLetter(InvalidInput):
    """There is no letter of this number."""

    failure = "consumer/poison-message"

    def __init__(self, letter: int) -> None:
        self.letter = letter
        super().__init__(f"there is no dead letter {letter}; goldseam dlq list shows those there")


class NotTheFirst(Rejected):
    """The letter waits behind another of its sequence: alone it would break the order."""

    failure = "consumer/poison-message"

    def __init__(self, letter: int, head: int) -> None:
        self.letter, self.head = letter, head
        super().__init__(
            f"dead letter {letter} waits behind {head} of the same sequence; redrive or discard "
            f"{head} first"
        )


class Quarantined(Rejected):
    """All that was chosen has failed its redrive too often."""

    failure = "consumer/poison-message"

    def __init__(self, letters: int, limit: int) -> None:
        self.letters = letters
        super().__init__(
            f"{letters} sequence(s) are quarantined: their first letter failed {limit} redrives or "
            "more. Mend the handler first, then ask with --force, or discard"
        )


class NothingThere(InvalidInput):
    """The broker has no record at this place."""

    failure = "consumer/poison-message"

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(
            f"{topic}/{partition} holds no record at offset {offset}; "
            "it expired, or the offset is wrong"
        )
