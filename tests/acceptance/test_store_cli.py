"""The command line as a user's script meets it: output, exit codes, no secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crashes.outside import execute, query, transaction
from tests.failures.test_store_mutated_event import disarm


def goldseam(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "goldseam", *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip


def answered(*arguments: str, store: str) -> Any:
    done = goldseam(*arguments, "--json", GOLDSEAM_STORE=store)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def test_a_store_from_nothing_to_verified(store_url: str) -> None:
    """plan, check, apply, append, read, list, info, verify, prune, doctor: with --json each."""
    assert ["pending"] == [step["state"] for step in answered("store", "plan", store=store_url)]
    assert 1 == goldseam("store", "check", "--store", store_url).returncode
    assert ["0001_pre_log"] == answered("store", "apply", store=store_url)["applied"]
    assert [] == answered("store", "apply", store=store_url)["applied"]
    assert {"ok": True} == answered("store", "check", store=store_url)

    event = ("stream", "append", "account-1", "DepositApplied", '{"amount": 5}')
    first = answered(*event, "--expected", "new", "--key", "k", store=store_url)
    again = answered(*event, "--expected", "new", "--key", "k", store=store_url)
    assert (1, 1, False, True) == (
        first["position"], again["position"], first["replayed"], again["replayed"],
    )  # fmt: skip
    read = answered("stream", "read", "account-1", store=store_url)
    assert [{"amount": 5}] == [one["data"] for one in read]
    assert [{"stream": "account-1", "version": 1}] == answered("stream", "list", store=store_url)
    tailed = goldseam("stream", "tail", "--after", "0", "--limit", "1", "--store", store_url)
    assert "DepositApplied" in tailed.stdout
    assert 1 == answered("store", "info", store=store_url)["head"]
    assert 0 == answered("store", "verify", store=store_url)["damaged"]
    assert 0 == answered("store", "prune", store=store_url)["pruned_keys"]
    verdicts = {one["check"]: one["verdict"] for one in answered("doctor", store=store_url)}
    assert ("good", "good") == (verdicts["tables"], verdicts["durable"])


def test_a_conflict_is_refused_with_exit_4(store_url: str) -> None:
    """And nothing is written."""
    goldseam("store", "apply", "--store", store_url)
    event = ("stream", "append", "a-1", "Ticked", "{}", "--expected", "7", "--store", store_url)
    done = goldseam(*event)

    assert (4, "") == (done.returncode, done.stdout)
    assert "not at the expected 7" in done.stderr
    assert [(0,)] == query(store_url, "SELECT count(*) FROM goldseam_events")


def test_damage_is_exit_1_and_named(store_url: str) -> None:
    """The position, the stream and what is wrong with it."""
    goldseam("store", "apply", "--store", store_url)
    for n in range(3):
        event = ("stream", "append", "a-1", "Ticked", '{"n": 1}', "--expected", str(n))
        goldseam(*event, "--store", store_url)
    with transaction(store_url) as connection:
        disarm(connection)
        execute(connection, "UPDATE goldseam_events SET payload = ? WHERE position = 2", b"{}")
    done = goldseam("store", "verify", "--store", store_url)

    assert 1 == done.returncode
    assert "position 2 'a-1' version 2: the checksum does not hold" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("store", "check"), 2),
        (("store", "check", "--store", "nosuch://x"), 2),
        (("store", "check", "--store", "sqlite:////no/such/folder/x.db"), 2),
        (("store", "check", "--store", "postgresql://u:hunter2@127.0.0.1:1/db"), 3),
        (("stream", "append", "a-1", "T", "not json", "--expected", "any"), 2),
        (("stream", "append", "a-1", "T", "[1]", "--expected", "any"), 2),
        (("stream", "append", "a-1", "T", "{}", "--expected", "maybe"), 2),
        (("nonsense",), 2),
        (("failures", "show", "store/versoin-conflict"), 2),
    ],
)
def test_each_kind_of_trouble_has_its_exit_code(
    arguments: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    """Usage is 2, unreachable is 3; errors go to stderr and passwords nowhere."""
    place = "" if "check" in arguments else f"sqlite:///{tmp_path}/x.db"
    done = goldseam(*arguments, GOLDSEAM_STORE=place)

    assert code == done.returncode, done.stderr
    assert "" == done.stdout
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_passwords_are_never_shown(postgres_schema_url: str) -> None:
    """Not by a command that works, not by one that fails, not in JSON."""
    place = postgres_schema_url.partition("://")[2].rpartition("@")[2]
    user = postgres_schema_url.partition("://")[2].partition("@")[0].partition(":")[0]
    url = f"postgresql://{user}:hunter2@{place}"
    wrong = f"postgresql://nobody-here:hunter2@{place}"
    for arguments in (
        ("store", "apply"), ("store", "info", "--json"), ("doctor",), ("doctor", "--json"),
        ("store", "verify"),
    ):  # fmt: skip
        for store in (url, wrong):
            done = goldseam(*arguments, GOLDSEAM_STORE=store)
            assert "hunter2" not in done.stdout + done.stderr
            assert "Traceback" not in done.stderr
            assert (0 if store == url else 3) == done.returncode or arguments[0] == "doctor"


def test_what_the_store_refuses_is_4_and_a_retry_is_not(store_url: str) -> None:
    """A key used for something else is refused; the same command again is answered as before."""
    goldseam("store", "apply", "--store", store_url)

    def append(data: str) -> subprocess.CompletedProcess[str]:
        command = ("stream", "append", "a-1", "Ticked", data, "--expected", "any", "--key", "k")
        return goldseam(*command, "--store", store_url)

    assert [0, 0, 4] == [append(data).returncode for data in ('{"n": 1}', '{"n": 1}', '{"n": 2}')]
    assert [(1,)] == query(store_url, "SELECT count(*) FROM goldseam_events")


def test_tail_sees_what_another_process_appends(store_url: str) -> None:
    """Live: the follower is there first, the event comes later."""
    goldseam("store", "apply", "--store", store_url)
    tail = subprocess.Popen(
        [sys.executable, "-m", "goldseam", "stream", "tail", "--after", "0", "--limit", "2",
         "--json", "--store", store_url],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for n in range(2):
        event = ("stream", "append", "a-1", "Ticked", f'{{"n": {n}}}', "--expected", str(n))
        assert 0 == goldseam(*event, "--store", store_url).returncode
    try:
        lines = tail.communicate(timeout=60)[0].splitlines()
    finally:
        tail.kill()

    assert [{"n": 0}, {"n": 1}] == [json.loads(line)["data"] for line in lines]


def test_failures_are_listed_and_shown() -> None:
    """The catalogue needs no store."""
    listed = goldseam("failures", "list", "--json")
    shown = goldseam("failures", "show", "store/corrupt-event", "--json")

    assert (0, 0) == (listed.returncode, shown.returncode)
    assert "store/corrupt-event" in listed.stdout
    assert "store/corrupt-event" in json.dumps(json.loads(shown.stdout))
