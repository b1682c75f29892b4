"""What a consumer may declare, and what is refused when it starts."""

from __future__ import annotations

import pytest

from goldseam.broker.port import Topic
from goldseam.consumers.consumer import Consumer
from goldseam.consumers.errors import ConsumerError, ModeRefused, RetentionTooShort
from goldseam.consumers.handlers import handles
from goldseam.consumers.modes import (
    AtLeastOnce,
    DedupTable,
    EffectivelyOnce,
    IdempotencyKey,
    Watermark,
)
from goldseam.consumers.promises import check_database, check_topics, retention_seconds
from goldseam.consumers.tables import ConsumerTables
from goldseam.errors import InvalidInput, InvalidName
from tests.support.consumers import TOPIC, Balances, Elsewhere, MoneyDeposited, of_mode

DAY = 86_400.0


def _topics(retention_ms: int, **config: str) -> dict[str, Topic]:
    more = {"retention.ms": str(retention_ms), **config}
    return {TOPIC: Topic(name=TOPIC, partitions=1, replication=1, config=more)}


def test_effectively_once_is_the_default() -> None:
    """Who declares nothing gets the best promise."""
    assert EffectivelyOnce() == Balances.mode


def test_effectively_once_without_a_database_is_refused() -> None:
    """A target without transactions cannot hold effect, dedup record and offset together."""
    with pytest.raises(ModeRefused, match="no database"):
        check_database(Balances(), None)


def test_at_least_once_may_do_without_a_database() -> None:
    """Its effect is elsewhere."""
    check_database(Elsewhere(), None)


def test_keys_without_a_database_are_refused() -> None:
    """Processed keys have to be kept somewhere."""
    consumer = of_mode(AtLeastOnce(dedup=IdempotencyKey()))
    with pytest.raises(ModeRefused, match="tables or keys"):
        check_database(consumer, None)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"topics": (TOPIC,)}, "needs a name"),
        ({"name": "x"}, "reads nothing"),
        ({"name": "x", "topics": TOPIC}, "reads nothing"),
        ({"name": "x", "topics": (TOPIC,)}, "handles nothing"),
    ],
)
def test_half_a_declaration_is_refused(wrong: dict[str, object], words: str) -> None:
    """It says what is missing when it is made, not when it runs."""
    kind = type("Half", (Consumer,), wrong)
    with pytest.raises(ConsumerError, match=words):
        kind()


def test_a_watermark_with_sequences_of_its_own_is_refused() -> None:
    """A mark counts streams; a sequence across streams would let versions overtake."""

    class Grouped(Balances):
        mode = EffectivelyOnce(dedup=Watermark())

        def sequence_of(self, event: object) -> str:
            return "all"

    with pytest.raises(ConsumerError, match="watermark counts streams"):
        Grouped()


@pytest.mark.parametrize("concurrency", [0, 1_001])
def test_concurrency_has_bounds(concurrency: int) -> None:
    """None at once, or too many, is no way to run."""
    with pytest.raises(ConsumerError, match="concurrency"):
        of_mode(AtLeastOnce(concurrency=concurrency))


def test_handlers_are_inherited_and_replaced() -> None:
    """A subclass handles what its base does, its own method first."""

    class Special(Balances):
        @handles(MoneyDeposited)
        async def other(self, fact: object, db: object) -> None:
            pass

    assert Special._handlers[MoneyDeposited] is Special.other
    assert frozenset([MoneyDeposited]) == Special().wanted


def test_handles_without_classes_is_refused() -> None:
    """@handles alone is a slip."""
    with pytest.raises(InvalidInput, match="needs the event classes"):
        handles()


def test_the_retention_of_ids_is_derived() -> None:
    """As long as the broker keeps a record, and then as long as a letter may wait."""
    consumer = of_mode(EffectivelyOnce(dedup=DedupTable(redrive_days=30)))
    week_ms = 7 * 86_400_000
    assert 37 * DAY == retention_seconds(consumer, _topics(week_ms))


def test_ids_are_kept_for_ever_where_the_topic_is() -> None:
    """Nothing to prune where any record may come again."""
    assert None is retention_seconds(Balances(), _topics(-1))
    compacted = _topics(1_000, **{"cleanup.policy": "compact,delete"})
    assert None is retention_seconds(Balances(), compacted)


def test_a_retention_that_is_too_short_is_refused_with_both_figures() -> None:
    """Eight days are not enough for seven days of topic and two of redrive."""
    mode = EffectivelyOnce(dedup=DedupTable(retention_seconds=8 * DAY, redrive_days=2))
    with pytest.raises(RetentionTooShort) as refused:
        retention_seconds(of_mode(mode), _topics(7 * 86_400_000))
    assert (8 * DAY, 9 * DAY) == (refused.value.has_seconds, refused.value.needs_seconds)
    assert "691200 s" in str(refused.value)
    assert "777600 s" in str(refused.value)


def test_a_retention_beside_an_endless_topic_is_refused() -> None:
    """There is no age at which an id may be forgotten."""
    mode = EffectivelyOnce(dedup=DedupTable(retention_seconds=DAY))
    with pytest.raises(RetentionTooShort, match="for ever"):
        retention_seconds(of_mode(mode), _topics(-1))


def test_a_watermark_needs_no_retention() -> None:
    """One row for each stream is never pruned."""
    consumer = of_mode(EffectivelyOnce(dedup=Watermark()))
    assert None is retention_seconds(consumer, _topics(1_000))


def test_a_missing_topic_is_named() -> None:
    """A group that waits for a topic that never comes looks healthy."""
    with pytest.raises(ConsumerError, match=TOPIC):
        check_topics(Balances(), {})


def test_tables_are_declared_for_the_dialect() -> None:
    """What is missing is said, and a name that no back-end takes is refused."""
    with pytest.raises(ConsumerError, match="postgresql"):
        ConsumerTables("x", {"sqlite": "CREATE TABLE {a} (b INTEGER)"}, "postgresql")
    with pytest.raises(InvalidName):
        ConsumerTables("x", f"CREATE TABLE {{{'a' * 56}}} (b INTEGER)", "sqlite")
