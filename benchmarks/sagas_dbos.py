"""The peer's half of ``benchmarks.sagas``: four-step workflows of dbos 3.4.

``python sagas_dbos.py URL THREADS WORKFLOWS``: prints workflows per second. Needs only dbos.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from time import perf_counter
from typing import Any

STEPS = 4


def run(url: str, threads: int, workflows: int) -> float:
    """Workflows per second, so many threads at once, each workflow called and waited for."""
    dbos: Any = import_module("dbos")
    engine = dbos.DBOS
    engine(config={"name": "bench", "system_database_url": url, "run_admin_server": False})
    do = engine.step()(_do)

    def workflow(order: str) -> int:
        return sum(do(order, step) for step in range(STEPS))

    fulfil = engine.workflow()(workflow)
    engine.launch()
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fulfil, [f"warm-{n}" for n in range(threads)]))
            began = perf_counter()
            done = list(pool.map(fulfil, [f"order-{n}" for n in range(workflows)]))
            took = perf_counter() - began
    finally:
        engine.destroy()
    if done != [sum(range(STEPS))] * workflows:
        raise SystemExit("the peer's workflows gave something else")
    return workflows / took


def _do(order: str, step: int) -> int:
    """A step that costs nothing: the coordinator alone is measured."""
    return step if order else -1


if __name__ == "__main__":
    print(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
