"""``python -m benchmarks``: every target of the project, measured beside its raw limit."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from benchmarks import extremes
from benchmarks.history import STORES, History
from benchmarks.measure import Result, Scenario, measure
from benchmarks.privacy import LOGS, Erasure, Rotation
from benchmarks.sqlite import Sqlite

URL_FILE = Path(".services/postgres.url")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run (2)")
    parser.add_argument("--only", default="", help="only scenarios whose name contains this")
    parser.add_argument("--postgres", default=None, help="URL; else .services/postgres.url")
    parser.add_argument("--skip-million", action="store_true", help="leave out the long ones")
    parser.add_argument("--json", default=None, metavar="FILE", help="write all figures to FILE")
    asyncio.run(run(parser.parse_args()))


async def run(options: argparse.Namespace) -> None:
    """Run all scenarios and print their table."""
    url = options.postgres or (URL_FILE.read_text().strip() if URL_FILE.exists() else None)
    sys.stdout.write(f"{_machine()}\n\n{_row('scenario', 'ours', 'limit', 'ratio', 'target', '')}")
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        sqlite = Sqlite(Path(folder), options.seconds)
        await _measure(sqlite.scenarios(), options, results)
        await _measure(_sqlite_history(Path(folder), options.seconds), options, results)
    if url is None:
        sys.stdout.write("PostgreSQL: not measured, run `make services` first\n")
    else:
        await _postgres(url, options, results)
    await _measure(extremes.imports(), options, results)
    if options.json:
        Path(options.json).write_text(
            json.dumps([_figures(result) for result in results], indent=1)
        )


async def _postgres(url: str, options: argparse.Namespace, results: list[Result]) -> None:
    from benchmarks.postgres import Postgres

    postgres = Postgres(url, options.seconds)
    try:
        await _measure(postgres.scenarios(), options, results)
        if find_spec("eventsourcing") is None:
            sys.stdout.write('peer: not measured, run: pip install "goldseam[bench]"\n')
        else:
            from benchmarks import peer

            await _measure(peer.scenarios(postgres), options, results)
        if not options.skip_million:  # first: it looks at the memory that the process has ever had
            await _measure(extremes.million(postgres), options, results)
        await _measure_history(url, options, results)
    finally:
        postgres.drop()


def _sqlite_history(folder: Path, seconds: float) -> list[Scenario]:
    urls = {name: f"sqlite:///{folder / name}.db" for name in STORES}
    rotation = Rotation("SQLite", f"sqlite:///{folder / 'many-keys.db'}", folder / "many-epochs")
    logs = {
        log: (f"sqlite:///{folder}/log-{n}.db", f"sqlite:///{folder}/log-{n}-keys.db")
        for log, n in LOGS.items()
    }
    return [
        *History("SQLite", urls, folder, seconds).scenarios(),
        *rotation.scenarios(),
        *Erasure("SQLite", logs, folder).scenarios(),
    ]


async def _measure_history(url: str, options: argparse.Namespace, results: list[Result]) -> None:
    """Versions, personal data and migrations, each in a schema of its own."""
    from benchmarks.migration import Migrations, drop_schema, new_schema

    urls = {name: new_schema(url) for name in (*STORES, "keys")}
    logs = {log: (new_schema(url), new_schema(url)) for log in LOGS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        migrations = Migrations(folder, url)
        rotation = Rotation("PostgreSQL", urls["keys"], folder / "many-epochs")
        try:
            history = History("PostgreSQL", urls, folder, options.seconds)
            await _measure(history.scenarios(), options, results)
            await _measure(rotation.scenarios(), options, results)
            await _measure(Erasure("PostgreSQL", logs, folder).scenarios(), options, results)
            await _measure(migrations.scenarios(), options, results)
        finally:
            migrations.drop()
            for one in (*urls.values(), *chain.from_iterable(logs.values())):
                drop_schema(one)


async def _measure(
    scenarios: list[Scenario], options: argparse.Namespace, results: list[Result]
) -> None:
    for scenario in scenarios:
        if options.only.lower() in scenario.name.lower():
            result = await measure(scenario, options.rounds)
            results.append(result)
            sys.stdout.write(_shown(result))
            sys.stdout.flush()


def _shown(result: Result) -> str:
    scenario = result.scenario
    sign = "<=" if scenario.better == "lower" else ">="
    best = min if scenario.better == "lower" else max
    limit = best(statistics.median(values) for values in result.limits.values())
    lines = [
        _row(
            scenario.name,
            f"{statistics.median(result.ours):,.5g}",
            f"{limit:,.5g} {scenario.unit}",
            f"{result.ratio:.2f} ({min(result.ratios):.2f}..{max(result.ratios):.2f})",
            f"{sign} {scenario.target:g}",
            "met" if result.met else "MISSED",
        )
    ]
    for name, values in {**result.limits, **result.beside}.items():
        lines.append(f"    {name}: {statistics.median(values):,.5g} {scenario.unit}\n")
    return "".join(lines)


def _row(*cells: str) -> str:
    widths = (52, 9, 18, 20, 8, 6)
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip() + "\n"


def _figures(result: Result) -> dict[str, object]:
    return {
        "scenario": result.scenario.name,
        "unit": result.scenario.unit,
        "ours": result.ours,
        "limits": result.limits,
        "beside": result.beside,
        "ratios": result.ratios,
        "ratio": result.ratio,
        "target": result.scenario.target,
        "met": result.met,
    }


def _machine() -> str:
    cores = subprocess.run(["nproc"], capture_output=True, text=True, check=False).stdout.strip()
    return f"Python {platform.python_version()}, {cores} cores, {platform.machine()}"


if __name__ == "__main__":
    main()
