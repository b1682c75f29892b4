"""``goldseam saga`` as an operator's script meets it, from a subprocess."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from goldseam.cli.console import OK, PROBLEMS, REFUSED, USAGE
from tests.support.eventually import eventually
from tests.support.fulfilment import Called, OrderReceived, application

APP = "tests.support.fulfilment:app"
BY = ("--by", "ann", "--reason", "the inventory is back")


def saga(url: str, *arguments: str, code: int = OK) -> Any:
    """One command; its JSON, or its text where it is no JSON."""
    command = [sys.executable, "-m", "goldseam", "saga", *arguments]
    done = subprocess.run(
        [*command, "--app", APP, "--store", url],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr + done.stdout
    if "--json" in arguments and done.stdout:
        return json.loads(done.stdout)
    return done.stdout + done.stderr


@pytest.fixture
def started(store_url: str) -> str:
    """A store with one saga completed, one compensated, one parked."""

    async def work() -> None:
        async with application(store_url) as app:
            await app.sagas.start(Called, OrderReceived("well"), key="well")
            await app.sagas.start(Called, OrderReceived("back", "charge:refuse"), key="back")
            stuck = OrderReceived("stuck", "charge:refuse,reserve/undo:refuse")
            await app.sagas.start(Called, stuck, key="stuck")

            async def settled() -> bool:
                counts = {status: n for _, _, status, n in await app.saga_list.counts()}
                return counts == {"completed": 1, "compensated": 1, "parked": 1}

            await eventually(settled)

    asyncio.run(work())
    return store_url


def test_list_tells_a_script_that_one_is_parked(started: str) -> None:
    """Exit code 1, the counts, and the reason."""
    found = saga(started, "list", "--json", code=PROBLEMS)
    assert {one["saga"]: one["status"] for one in found["sagas"]} == {
        "called/well": "completed",
        "called/back": "compensated",
        "called/stuck": "parked",
    }
    parked = saga(started, "list", "--status", "parked", "--json", code=PROBLEMS)
    assert [one["error"] for one in parked["sagas"]] == ["refused: not today"]
    assert "called/well" in saga(started, "list", "--definition", "called", code=PROBLEMS)


def test_show_tells_the_whole_story(started: str) -> None:
    """Every fact in order, who asked, and what is left to do."""
    story = saga(started, "show", "called/stuck", "--json")
    facts = [one["fact"] for one in story["happened"]]
    assert facts[0] == "SagaStarted"
    assert facts[-1] == "SagaParked"
    assert story["undo"][-1] == "reserve"
    text = saga(started, "show", "called/stuck")
    assert "still to be undone: reserve" in text
    assert "SagaParked" in text


def test_what_cannot_be_undone_is_undone_by_hand(started: str) -> None:
    """Resume takes it as undone, with who and why, and the saga goes on."""
    answer = saga(started, "resume", "called/stuck", *BY, "--json")
    assert answer["status"] == "compensated"
    last = saga(started, "show", "called/stuck", "--json")["happened"][-2]
    assert last["fact"] == "StepUndone"
    assert last["details"]["by"] == "ann"
    assert last["actor"] == "ann"


def test_retry_puts_it_back_to_work(started: str) -> None:
    """Whoever runs the sagas tries again."""
    assert saga(started, "retry", "called/stuck", *BY, "--json")["status"] == "compensating"


@pytest.mark.parametrize("verb", ["retry", "compensate", "resume"])
def test_what_does_not_fit_is_refused(started: str, verb: str) -> None:
    """A completed saga is final, and an unknown one is a usage error."""
    assert "is completed" in saga(started, verb, "called/well", *BY, code=REFUSED)
    assert "there is no saga" in saga(started, verb, "called/none", *BY, code=USAGE)


def test_diagrams(started: str, tmp_path: Any) -> None:
    """Of a definition and of one saga, as text and as a file."""
    assert "flowchart LR" in saga(started, "diagram", "called")
    assert "class undo_reserve parked" in saga(started, "diagram", "called/stuck")
    path = tmp_path / "saga.svg"
    saga(started, "diagram", "called/stuck", "--svg", "--output", str(path))
    assert path.read_text().startswith("<svg")
    assert "there is no saga" in saga(started, "diagram", "nothing", code=USAGE)
