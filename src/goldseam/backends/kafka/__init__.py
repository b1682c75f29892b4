"""Apache Kafka behind the broker port, by confluent-kafka; needs the extra "kafka"."""

from goldseam.backends.kafka.broker import KafkaBroker, open_broker

__all__ = ["KafkaBroker", "open_broker"]
