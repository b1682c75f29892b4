"""Starts and stops the real servers that the tests need, one set per checkout.

Run as `python3 -m tools.services start|stop|status|url` from the checkout; needs nothing but the
standard library, so it works before `make setup`.  stdout is data, one line a service; stderr
talks.  Exit codes: 0 ok, 2 usage, 3 one is missing or unreachable, 4 one is not ours.

`start --only region` adds a second region: one more Kafka broker and MirrorMaker 2, which copies
every topic and the offsets of every group to it.  It is started only when it is asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tools import kafka_jars, postgres_binaries
from tools.kafka_cluster import KafkaCluster, KafkaRefused, KafkaUnreachable
from tools.kafka_jars import KafkaMissing
from tools.mirror_maker import MirrorMaker, MirrorUnreachable
from tools.postgres_binaries import PostgresMissing
from tools.postgres_server import PostgresServer, ServerRefused, ServerUnreachable

CHECKOUT = Path(__file__).resolve().parent.parent
UNREACHABLE = 3
REFUSED = 4

Answer = dict[str, object]


def _postgresql(arguments: argparse.Namespace) -> Answer:
    verb = arguments.verb
    programs = postgres_binaries.find()
    if programs is None and verb != "start":
        raise PostgresMissing("PostgreSQL is not installed, so nothing runs")
    server = PostgresServer(arguments.root, programs or postgres_binaries.find_or_install())
    answer: Answer = {"service": "postgresql", "data": str(server.data)}
    if verb == "start":
        return {**answer, "running": True, "url": server.start(new_port=arguments.new_port)}
    if verb == "stop":
        return {**answer, "running": False, "ran": server.stop()}
    if verb == "status" and not server.running():
        raise ServerUnreachable(f"PostgreSQL in {server.data} is not running; run: make services")
    return {**answer, "running": server.running(), "url": server.url()}


def _kafka(arguments: argparse.Namespace) -> Answer:
    verb = arguments.verb
    jars = kafka_jars.find_or_fetch() if verb == "start" else kafka_jars.find()
    if jars is None:
        raise KafkaMissing("Kafka's jars are not here, so nothing runs")
    cluster = KafkaCluster(arguments.root, jars)
    answer: Answer = {"service": "kafka", "data": str(cluster.home)}
    if verb == "start":
        return {**answer, "running": True, "url": f"kafka://{cluster.start()}"}
    if verb == "stop":
        return {**answer, "running": False, "ran": cluster.stop()}
    running = all(cluster.running(number) for number in cluster.numbers)
    if verb == "status" and not running:
        raise KafkaUnreachable(f"Kafka in {cluster.home} is not running; run: make services")
    return {**answer, "running": running, "url": f"kafka://{cluster.bootstrap()}"}


def _region(arguments: argparse.Namespace) -> Answer:
    verb = arguments.verb
    jars = kafka_jars.find_or_fetch() if verb == "start" else kafka_jars.find()
    if jars is None:
        raise KafkaMissing("Kafka's jars are not here, so nothing runs")
    home = KafkaCluster(arguments.root, jars)
    away = KafkaCluster(arguments.root, jars, brokers=1, name="kafka-west")
    mirror = MirrorMaker(home, away)
    answer: Answer = {"service": "region", "data": str(away.home), "mirror": str(mirror.home)}
    if verb == "start":
        home.start()
        url = f"kafka://{away.start()}"
        mirror.start()
        return {**answer, "running": True, "url": url}
    if verb == "stop":
        stopped = [mirror.stop(), away.stop()]
        return {**answer, "running": False, "ran": any(stopped)}
    running = away.running(1) and mirror.running()
    if verb == "status" and not running:
        raise KafkaUnreachable(
            f"the second region in {away.home} is not running; run: "
            "python3 -m tools.services start --only region"
        )
    return {**answer, "running": running, "url": f"kafka://{away.bootstrap()}"}


SERVICES: Mapping[str, Callable[[argparse.Namespace], Answer]] = {
    "postgresql": _postgresql,
    "region": _region,
    "kafka": _kafka,
}
NAMES = {"postgresql": "PostgreSQL", "region": "the second region", "kafka": "Kafka"}
ON_DEMAND = frozenset({"region"})
"""Acted on only when they are named; and stopped with all the others, before what they copy."""

_MISSING = (
    PostgresMissing,
    ServerUnreachable,
    KafkaMissing,
    KafkaUnreachable,
    MirrorUnreachable,
)


def _parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tools.services", description=__doc__)
    parser.add_argument("verb", choices=["start", "status", "stop", "url"])
    parser.add_argument("--only", choices=sorted(SERVICES), help="this service alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object a service")
    parser.add_argument("--new-port", action="store_true", help="start: choose another free port")
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the checkout that owns them")
    return parser.parse_args(words)


def _chosen(service: str, arguments: argparse.Namespace) -> bool:
    if arguments.only is None:
        return service not in ON_DEMAND or arguments.verb == "stop"
    return bool(arguments.only == service)


def _show(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer))
    elif "url" in answer:
        print(answer["url"])
    else:
        name = NAMES[str(answer["service"])]
        print(f"services: {name} in {answer['data']} is stopped", file=sys.stderr)


def main(words: list[str] | None = None) -> int:
    """Carry out one verb on each service; returns the worst exit code."""
    arguments = _parse(words)
    code = 0
    for service, act in SERVICES.items():
        if not _chosen(service, arguments):
            continue
        try:
            answer = act(arguments)
        except _MISSING as error:
            print(f"services: MISSING {NAMES[service]}: {error}", file=sys.stderr)
            code = max(code, UNREACHABLE)
        except (ServerRefused, KafkaRefused) as error:
            print(f"services: REFUSED: {error}", file=sys.stderr)
            code = max(code, REFUSED)
        else:
            _show(answer, as_json=arguments.json)
    return code


if __name__ == "__main__":
    sys.exit(main())
