"""librdkafka's errors as goldseam's."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from goldseam.broker.errors import BrokerError, BrokerUnreachable, FencedMember, RecordRefused
from goldseam.telemetry.signals import signals

_REFUSED = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_RECORD,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 -- librdkafka's own codes begin with an underscore
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
}
_FENCED = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.STALE_MEMBER_EPOCH,
    KafkaError.FENCED_MEMBER_EPOCH,
    KafkaError.UNRELEASED_INSTANCE_ID,
    KafkaError._FENCED,  # noqa: SLF001
    KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001
}
FATAL_FOR_MEMBER = {
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._FATAL,  # noqa: SLF001
    KafkaError._FENCED,  # noqa: SLF001
}


def translated(error: KafkaError, doing: str) -> BrokerError:
    """The goldseam error for what went wrong while ``doing``."""
    words = f"{doing}: {error.name()}: {error.str()}"
    code = error.code()
    if code in _REFUSED:
        return RecordRefused(f"{words}; the broker will never take it")
    if code in _FENCED:
        return FencedMember(f"{words}; another member has taken over")
    signals.count("goldseam_broker_unreachable_total")
    return BrokerUnreachable(f"{words}; what was stored is unknown, send it again")


def of(exception: KafkaException, doing: str) -> BrokerError:
    """The goldseam error for an exception of the client."""
    return translated(exception.args[0], doing)
