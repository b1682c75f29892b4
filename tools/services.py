"""Starts and stops the real servers that the tests need: PostgreSQL, one per checkout.

Run as `python3 -m tools.services start|stop|status|url` from the checkout; needs nothing but the
standard library, so it works before `make setup`.  stdout is data, stderr talks.
Exit codes: 0 ok, 2 usage, 3 missing or unreachable, 4 refused because it is not ours.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tools import postgres_binaries
from tools.postgres_binaries import PostgresMissing
from tools.postgres_server import PostgresServer, ServerRefused, ServerUnreachable

CHECKOUT = Path(__file__).resolve().parent.parent
UNREACHABLE = 3
REFUSED = 4


def _start(server: PostgresServer, arguments: argparse.Namespace) -> dict[str, object]:
    url = server.start(new_port=arguments.new_port)
    return {"service": "postgresql", "running": True, "url": url, "data": str(server.data)}


def _stop(server: PostgresServer, _: argparse.Namespace) -> dict[str, object]:
    ran = server.stop()
    return {"service": "postgresql", "running": False, "ran": ran, "data": str(server.data)}


def _status(server: PostgresServer, _: argparse.Namespace) -> dict[str, object]:
    if not server.running():
        raise ServerUnreachable(f"PostgreSQL in {server.data} is not running; run: make services")
    return {
        "service": "postgresql",
        "running": True,
        "url": server.url(),
        "data": str(server.data),
    }


def _url(server: PostgresServer, _: argparse.Namespace) -> dict[str, object]:
    return {"url": server.url()}


VERBS = {"start": _start, "stop": _stop, "status": _status, "url": _url}


def _parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tools.services", description=__doc__)
    parser.add_argument("verb", choices=sorted(VERBS))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--new-port", action="store_true", help="start: choose another free port")
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the checkout that owns it")
    return parser.parse_args(words)


def _show(answer: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer))
    elif "url" in answer:
        print(answer["url"])
    else:
        print(f"services: PostgreSQL in {answer['data']} is stopped", file=sys.stderr)


def main(words: list[str] | None = None) -> int:
    """Carry out one verb; returns the exit code."""
    arguments = _parse(words)
    try:
        programs = postgres_binaries.find()
        if programs is None and arguments.verb != "start":
            raise PostgresMissing("PostgreSQL is not installed, so nothing runs")
        server = PostgresServer(arguments.root, programs or postgres_binaries.find_or_install())
        answer = VERBS[arguments.verb](server, arguments)
    except (PostgresMissing, ServerUnreachable) as error:
        print(f"services: MISSING PostgreSQL: {error}", file=sys.stderr)
        return UNREACHABLE
    except ServerRefused as error:
        print(f"services: REFUSED: {error}", file=sys.stderr)
        return REFUSED
    _show(answer, as_json=arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
