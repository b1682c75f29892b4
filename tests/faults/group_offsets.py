"""Asks a cluster for the offsets of group after group, until its input ends.

Usage: python -m tests.faults.group_offsets BOOTSTRAP ours|raw
"""

from __future__ import annotations

import asyncio
import select
import sys

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient

from goldseam.backends.kafka import open_broker
from goldseam.broker.errors import BrokerError

SECONDS_MAX = 5.0
GROUPS = 40


def over() -> bool:
    """Whether the test has closed our input."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


async def ours(bootstrap: str) -> None:
    """As goldseam asks."""
    broker = open_broker(f"kafka://{bootstrap}")
    admin = await broker.admin()
    asked = 0
    while not over():
        try:
            await admin.offsets(f"asked-{asked % GROUPS}")
        except BrokerError as error:
            print(f"refused: {type(error).__name__}", flush=True)
        asked += 1
    print(f"asked {asked}", flush=True)


async def raw(bootstrap: str) -> None:
    """As the admin client asks by itself."""
    client = AdminClient({"bootstrap.servers": bootstrap})
    asked = 0
    while not over():
        group = f"asked-{asked % GROUPS}"
        question = [ConsumerGroupTopicPartitions(group)]
        try:
            answers = client.list_consumer_group_offsets(question, request_timeout=SECONDS_MAX)
            await asyncio.to_thread(answers[group].result)
        except KafkaException as error:
            print(f"refused: {error.args[0].name()}", flush=True)
        asked += 1
    print(f"asked {asked}", flush=True)


if __name__ == "__main__":
    asyncio.run({"ours": ours, "raw": raw}[sys.argv[2]](sys.argv[1]))
