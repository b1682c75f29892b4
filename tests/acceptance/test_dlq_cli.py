"""``goldseam dlq`` as an operator's script meets it, and the guide's runbook as it is written."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from goldseam.broker.record import Record
from goldseam.cli.console import OK, PROBLEMS, REFUSED, USAGE
from goldseam.governance import runbooks
from tests.support.consumers import POISON, Balances, fact
from tests.support.river import drain, river, send, target

RUNBOOK = Path(runbooks.__path__[0]) / "consumer-poison-message.md"
BY = ("--by", "ann", "--reason", "mended in 1.2")
APP = "tests.support.consumers:Balances"
POISONED = 3
"""The version at which account-0 is poison; two more follow it."""


def goldseam(noun: str, *arguments: str, **environment: str) -> Result:
    """One command, in this process."""
    group = import_module(f"goldseam.cli.{noun}").group
    return CliRunner().invoke(group, list(arguments), env=environment)


def dlq(url: str, *arguments: str, code: int = OK) -> Any:
    done = goldseam("dlq", *arguments, "--store", url, "--json")
    assert code == done.exit_code, done.output
    return json.loads(done.stdout) if done.stdout else None


def facts() -> list[Record]:
    return [
        fact(f"account-{n}", v, POISON if (n, v) == (0, POISONED) else 1)
        for v in range(1, 6) for n in range(3)
    ]  # fmt: skip


def consumed(broker_url: str, url: str, deliveries: int, *, broken: bool = True) -> None:
    """Let the consumer work until so many deliveries have an outcome."""

    async def inside() -> None:
        consumer = Balances()
        consumer.broken = broken
        async with river(broker_url, partitions=1) as broker, target(url) as database:
            await drain(consumer, broker, database, deliveries)

    asyncio.run(inside())


def sent(broker_url: str, records: list[Record]) -> None:
    async def inside() -> None:
        async with river(broker_url, partitions=1) as broker:
            await send(broker, records)

    asyncio.run(inside())


def movements(url: str, account: str) -> list[int]:
    async def inside() -> list[int]:
        async with target(url) as database:
            rows = await database.fetch(
                "SELECT n FROM movements WHERE account = :account", {"account": account}
            )
            return [int(row[0]) for row in rows]

    return asyncio.run(inside())


@pytest.fixture
def broker_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'broker.db'}"


@pytest.fixture
def poisoned(store_url: str, broker_url: str) -> str:
    """A consumer's database with three letters of one stream."""
    sent(broker_url, facts())
    consumed(broker_url, store_url, 15)
    return store_url


def test_look_redrive_and_see_who_did_it(poisoned: str, broker_url: str) -> None:
    """Groups, list, show; a dry run that changes nothing; a redrive in order; the audit."""
    (group,) = dlq(poisoned, "groups", "--consumer", "balances", code=PROBLEMS)
    assert ("ValueError", 1, 2) == (group["error_class"], group["letters"], group["behind"])
    assert "support/consumers.py:deposited" == group["frame"]
    page = dlq(poisoned, "list", "--limit", "2", code=PROBLEMS)
    assert (3, 2) == (page["total"], len(page["letters"]))
    rest = dlq(poisoned, "list", "--after", str(page["next"]), code=PROBLEMS)
    assert (1, None) == (len(rest["letters"]), rest["next"])
    first = str(page["letters"][0]["id"])
    assert str(POISON) not in json.dumps(dlq(poisoned, "show", first)["error"])
    assert "value" not in dlq(poisoned, "show", first)
    assert {"amount": POISON} == json.loads(dlq(poisoned, "show", first, "--payload")["value"])
    chosen = ("redrive", "--consumer", "balances", *BY)
    (seen,) = dlq(poisoned, *chosen, "--dry-run")
    assert ({"queued": 2, "poison": 1}, None) == (seen["reasons"], seen["action"])
    assert [] == dlq(poisoned, "audit")
    (asked,) = dlq(poisoned, *chosen, "--rate", "100/s", "--max", "100")
    assert 3 == asked["letters"]
    consumed(broker_url, poisoned, 3, broken=False)
    assert [1, 2, 3, 4, 5] == movements(poisoned, "account-0")
    assert 0 == dlq(poisoned, "list")["total"]
    (done,) = dlq(poisoned, "audit")
    assert ("redrive", "ann", "mended in 1.2") == (done["what"], done["who"], done["why"])


def test_discard_names_what_is_next(poisoned: str) -> None:
    """One letter is given up with a reason; the next one is offered, a whole consumer is not."""
    letters = dlq(poisoned, "list", code=PROBLEMS)["letters"]
    first, second = str(letters[0]["id"]), letters[1]["id"]
    assert USAGE == goldseam("dlq", "discard", first, "--store", poisoned).exit_code
    dlq(poisoned, "discard", "--consumer", "balances", *BY, code=USAGE)
    done = dlq(poisoned, "discard", first, "--consumer", "balances", *BY)
    assert (1, [second]) == (done["letters"], done["next_letters"])
    dlq(poisoned, "redrive", first, *BY, code=REFUSED)
    assert "discarded" == dlq(poisoned, "show", first)["state"]


def test_the_runbook_executes_as_written(store_url: str, broker_url: str) -> None:
    """A record that no handler gets past: parked, offset moved, consumer restarted, redriven."""
    offset = next(n for n, one in enumerate(facts()) if b"666" in (one.value or b""))
    sent(broker_url, facts()[:offset])
    consumed(broker_url, store_url, offset)
    sent(broker_url, facts()[offset:])
    words = {
        "<consumer>": "balances", "<module:app>": APP, "<topic>": "bank.accounts",
        "<partition>": "0", "<offset>": str(offset), "<offset+1>": str(offset + 1),
        "<you>": "ann", "<why>": "hangs", "<stream>": "account-0",
    }  # fmt: skip
    commands = re.findall(r"^ +(goldseam .+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    done = []
    for command in commands:
        filled = command
        for word, value in words.items():
            filled = filled.replace(word, value)
        noun, *arguments = shlex.split(filled)[1:]
        if noun == "run":  # the same consumer, in this process, until it has caught up
            consumed(broker_url, store_url, len(facts()) - offset - 1)
            continue
        environment = {"GOLDSEAM_STORE": store_url, "GOLDSEAM_BROKER": broker_url}
        result = goldseam(noun, *arguments, **environment)
        assert result.exit_code in (OK, PROBLEMS), f"{filled}: {result.output}"
        done.append(noun)
    assert ["dlq", "consumers", "stream", "dlq", "consumers", "dlq", "dlq"] == done
    assert [1, 2] == movements(store_url, "account-0")
    assert [1, 2, 3, 4, 5] == movements(store_url, "account-1")
    consumed(broker_url, store_url, 3, broken=False)
    assert [1, 2, 3, 4, 5] == movements(store_url, "account-0")
