"""``goldseam schema`` as a CI job meets it: a store of the old code, the new code, an exit code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.acceptance.test_events_lint import check_sarif

ROOT = Path(__file__).resolve().parents[2]

HEAD = """
from typing import Annotated
import msgspec
from goldseam import Personal, event
from goldseam.versioning.upcasting import add_field, rename_field, upcaster

@event
class AccountOpened(msgspec.Struct, frozen=True):
    owner: str
"""
OLD = """
@event
class DepositApplied(msgspec.Struct, frozen=True):
    amount: int
    teller: str = ""
"""
RENAMED = """
@event
class DepositApplied(msgspec.Struct, frozen=True):
    totalAmount: int
    teller: str = ""
"""
UPCAST = """
@event(version=2)
class DepositApplied(msgspec.Struct, frozen=True):
    totalAmount: int
    teller: str = ""

upcaster("DepositApplied", 1)(rename_field("amount", "totalAmount"))
"""
GAP = """
@event(version=3)
class DepositApplied(msgspec.Struct, frozen=True):
    totalAmount: int
    currency: str
    teller: str = ""

upcaster("DepositApplied", 1)(rename_field("amount", "totalAmount"))
"""
FORGOTTEN = """
@event(version=2)
class DepositApplied(msgspec.Struct, frozen=True):
    totalAmount: int
"""
DROPPED = """
@event
class DepositApplied(msgspec.Struct, frozen=True):
    amount: int
"""
QUIET = """
@event
class DepositApplied(msgspec.Struct, frozen=True):
    totalAmount: int = 0
    teller: str = ""
"""
RELEASES = {
    "old": OLD, "renamed": RENAMED, "upcast": UPCAST, "gap": GAP, "forgotten": FORGOTTEN,
    "dropped": DROPPED, "quiet": QUIET,
}  # fmt: skip

WRITER = """
import asyncio
import sys
import {module} as code
from goldseam import NEW, open_store

async def main():
    async with await open_store(sys.argv[1]) as store:
        await store.append("account-1", [code.AccountOpened("ann")], expected=NEW)
        deposits = [code.DepositApplied(n, "bob") for n in range(150)]
        await store.append("account-1", deposits, expected=1)

asyncio.run(main())
"""
READER = """
import asyncio
import sys
import {module} as code
from goldseam import open_store

async def main():
    async with await open_store(sys.argv[1]) as store:
        print(len(await store.read_stream("account-1")))

asyncio.run(main())
"""


class World:
    """A folder with every release's code, and a store that the old one wrote."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        for name, text in RELEASES.items():
            (folder / f"bank_{name}.py").write_text(HEAD + text, encoding="utf-8")

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}"}
        return subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=self.folder,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def goldseam(self, *arguments: str, store: str | None = None) -> Any:
        done = self.python("-m", "goldseam", *arguments, "--store", store or self.url)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def check(self, release: str, *arguments: str) -> Any:
        return self.goldseam("schema", "check", "--module", f"bank_{release}", *arguments)

    def found(self, release: str, *arguments: str) -> list[tuple[str, str, int]]:
        """Rule, type and version of each finding, and that the exit code agrees with them."""
        done = self.check(release, "--json", *arguments)
        shown = json.loads(done.stdout)
        failed = any(one["level"] == "error" for one in shown["findings"])
        assert ((1, False) if failed else (0, True)) == (done.returncode, shown["ok"])
        return [(one["rule"], one["type"], one["version"]) for one in shown["findings"]]

    def run(self, script: str, release: str) -> Any:
        return self.python("-c", script.format(module=f"bank_{release}"), self.url)


@pytest.fixture
def world(tmp_path: Path, store_url: str) -> World:
    """A store with 151 events that the old release wrote."""
    made = World(tmp_path, store_url)
    done = made.run(WRITER, "old")
    assert 0 == done.returncode, done.stderr
    return made


DEPOSIT_1 = ("DepositApplied", 1)


def test_the_code_that_wrote_it_passes(world: World) -> None:
    """No false alarm: nothing changed, nothing is found, with and without registered schemas."""
    assert [] == world.found("old")
    assert 0 == world.goldseam("schema", "register", "--module", "bank_old").returncode
    assert [] == world.found("old")


def test_a_rename_without_an_upcaster_is_stopped(world: World) -> None:
    """Exit code 1, and the message says what, where, how many and what to do; no value in it."""
    assert 0 == world.goldseam("schema", "register", "--module", "bank_old").returncode
    done = world.check("renamed", "--junit", "junit.xml", "--sarif", "found.sarif")

    assert 1 == done.returncode
    unreadable = next(line for line in done.stdout.splitlines() if "unreadable-event" in line)
    assert "DepositApplied version 1" in unreadable
    assert "missing required field `totalAmount`" in unreadable
    assert "(150 of the sample, 150 stored); positions 151, 150, 149" in unreadable
    assert "declare an upcaster" in unreadable
    assert "bob" not in done.stdout + done.stderr
    assert "changed-without-version: DepositApplied version 1" in done.stdout

    suite = ET.parse(world.folder / "junit.xml").getroot()[0]
    cases = {case.get("name"): [f.get("type") for f in case.findall("failure")] for case in suite}
    own = {name for name in cases if name.startswith("goldseam.")}
    assert {"AccountOpened version 1", "DepositApplied version 1"} == set(cases) - own
    assert "goldseam.SubjectForgotten version 1" in own
    assert [] == [kind for name in own for kind in cases[name]]
    assert [] == cases["AccountOpened version 1"]
    assert {"changed-without-version", "unreadable-event"} == set(cases["DepositApplied version 1"])
    assert (str(len(cases)), "1") == (suite.get("tests"), suite.get("failures"))

    sarif = json.loads((world.folder / "found.sarif").read_text(encoding="utf-8"))
    (one_run,) = sarif["runs"]
    assert ("2.1.0", "goldseam schema check") == (
        sarif["version"], one_run["tool"]["driver"]["name"],
    )  # fmt: skip
    rules = [rule["id"] for rule in one_run["tool"]["driver"]["rules"]]
    shown = {result["ruleId"]: result for result in check_sarif(sarif)}
    for rule, result in shown.items():
        assert rule == rules[result["ruleIndex"]]
    place = shown["unreadable-event"]["locations"][0]["physicalLocation"]
    source = (world.folder / "bank_renamed.py").read_text(encoding="utf-8").splitlines()
    assert "bank_renamed.py" == place["artifactLocation"]["uri"]
    assert "class DepositApplied" in source[place["region"]["startLine"] - 1]
    assert ("error", "note") == (
        shown["unreadable-event"]["level"], shown["dropped-fields"]["level"],
    )  # fmt: skip


def test_a_rename_is_found_without_a_registered_schema(world: World) -> None:
    """The store itself is evidence enough."""
    assert [("unreadable-event", *DEPOSIT_1), ("dropped-fields", *DEPOSIT_1)] == world.found(
        "renamed"
    )


def test_control_without_the_gate_the_rename_stops_a_reader(world: World) -> None:
    """The same change, deployed: the first old event ends the read."""
    done = world.run(READER, "renamed")
    assert 1 == done.returncode
    assert "UnreadableEvent" in done.stderr


def test_with_the_upcaster_it_passes(world: World) -> None:
    """Exit code 0, and the reader reads all of it."""
    assert 0 == world.goldseam("schema", "register", "--module", "bank_old").returncode
    assert [] == world.found("upcast")
    done = world.run(READER, "upcast")
    assert (0, "151") == (done.returncode, done.stdout.strip())


def test_a_gap_in_the_chain_is_found(world: World) -> None:
    """Version 1 leads to 2, the class is 3, nothing leads from 2 to 3."""
    found = world.found("gap")
    assert ("upcaster-gap", "DepositApplied", 2) in found
    done = world.check("gap")
    assert "no upcaster leads on from version 2, the newest is 3" in done.stdout


def test_a_version_that_nobody_reads_is_found(world: World) -> None:
    """The class went to version 2, and nobody thought of the events of version 1."""
    assert 0 == world.goldseam("schema", "register", "--module", "bank_old").returncode
    found = world.found("forgotten")
    assert {("unknown-type", *DEPOSIT_1), ("incompatible-schema", "DepositApplied", 2)} == set(
        found
    )
    assert [("unknown-type", *DEPOSIT_1)] == world.found("forgotten", "--level", "NONE")


def test_a_dropped_field_is_a_note(world: World) -> None:
    """Weak schema: it passes, and is told; `dropped` tells the same, and fails only if asked."""
    assert [("dropped-fields", *DEPOSIT_1)] == world.found("dropped")

    asked = ("schema", "dropped", "--module", "bank_dropped")
    done = world.goldseam(*asked, "--json")
    assert 0 == done.returncode
    assert {
        "events": 151,
        "dropped": [{
            "type": "DepositApplied", "version": 1, "events": 150, "newest_position": 151,
            "fields": ["teller"], "not_in_them": [],
        }],
    } == json.loads(done.stdout)  # fmt: skip
    assert 1 == world.goldseam(*asked, "--fail").returncode
    assert 0 == world.goldseam("schema", "dropped", "--module", "bank_old", "--fail").returncode


def test_dropped_looks_at_the_newest_events_only(world: World) -> None:
    """Lately, not ever: --last bounds what is read."""
    asked = ("schema", "dropped", "--module", "bank_quiet", "--last", "10", "--json")
    shown = json.loads(world.goldseam(*asked).stdout)
    assert (10, 10) == (shown["events"], shown["dropped"][0]["events"])
    assert ["amount"] == shown["dropped"][0]["fields"]
    assert ["totalAmount"] == shown["dropped"][0]["not_in_them"]


def test_registered_schemas_are_listed_and_shown(world: World) -> None:
    """register, list and show agree; registering again changes nothing."""
    first = world.goldseam("schema", "register", "--module", "bank_old", "--json")
    again = world.goldseam("schema", "register", "--module", "bank_old", "--json")
    assert (0, first.stdout) == (again.returncode, again.stdout)

    listed = json.loads(world.goldseam("schema", "list", "--json").stdout)
    assert {"AccountOpened", "DepositApplied"} <= {one["type"] for one in listed}
    shown = json.loads(world.goldseam("schema", "show", "DepositApplied", "--json").stdout)
    assert {"amount", "teller"} == set(shown["schema"]["properties"])


def test_what_does_not_fit_is_not_registered(world: World) -> None:
    """Exit code 4 for a change under the same version; a version with an upcaster is no trouble."""
    assert 0 == world.goldseam("schema", "register", "--module", "bank_old").returncode
    refused = world.goldseam("schema", "register", "--module", "bank_renamed")
    assert 4 == refused.returncode
    assert "totalAmount" in refused.stderr
    done = world.goldseam("schema", "register", "--module", "bank_upcast", "--json")
    assert [(2, 2)] == [
        (one["version"], one["registered"])
        for one in json.loads(done.stdout)
        if one["type"] == "DepositApplied"
    ]
    again = world.goldseam("schema", "register", "--module", "bank_upcast", "--json")
    assert (0, done.stdout) == (again.returncode, again.stdout)
    shown = json.loads(world.goldseam("schema", "show", "DepositApplied", "--json").stdout)
    assert "totalAmount" in shown["schema"]["properties"]
    assert [] == world.found("upcast")


def test_an_unknown_schema_is_exit_code_2(world: World) -> None:
    """Before and after anything is registered."""
    assert 2 == world.goldseam("schema", "show", "DepositApplied").returncode
    assert "[]" == world.goldseam("schema", "list", "--json").stdout.strip()
    assert 0 == world.goldseam("schema", "register", "--module", "bank_old").returncode
    assert 2 == world.goldseam("schema", "show", "Nothing").returncode
    wrong = ("schema", "show", "DepositApplied", "--version", "9")
    assert 2 == world.goldseam(*wrong).returncode


def test_an_application_brings_its_classes_and_its_store(world: World) -> None:
    """--app is enough: the gate judges the Goldseam's own registry against its own store."""
    (world.folder / "bank_app.py").write_text(
        "import bank_renamed\nfrom goldseam import Goldseam, Registry\n"
        "own = Registry()\nown.register(bank_renamed.AccountOpened)\n"
        f"app = Goldseam({world.url!r}, registry=own)\n",
        encoding="utf-8",
    )
    done = world.python("-m", "goldseam", "schema", "check", "--app", "bank_app:app", "--json")
    shown = json.loads(done.stdout)
    assert (1, [("unknown-type", "DepositApplied")]) == (
        done.returncode, [(one["rule"], one["type"]) for one in shown["findings"]],
    )  # fmt: skip
    alone = world.goldseam("schema", "check", "--module", "bank_app:own", "--json")
    assert shown["findings"] == json.loads(alone.stdout)["findings"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("schema", "check"), 2),
        (("schema", "check", "--module", "no_such_module"), 2),
        (("schema", "check", "--module", "bank_old", "--level", "SIDEWAYS"), 2),
        (("schema", "check", "--module", "bank_old", "--json", "--junit", "-"), 2),
        (("schema", "check", "--app", "bank_old:AccountOpened"), 2),
        (("schema", "dropped", "--module", "bank_old", "--last", "0"), 2),
    ],
)
def test_misuse_is_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    """A script can tell a wrong call from a finding."""
    world = World(tmp_path, f"sqlite:///{tmp_path / 'store.db'}")
    assert code == world.goldseam(*arguments).returncode


def test_an_unreachable_store_is_exit_code_3(tmp_path: Path) -> None:
    """Neither passed nor failed: the gate could not look."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"postgresql://nobody@127.0.0.1:{closed.getsockname()[1]}/none?connect_timeout=2"
        done = World(tmp_path, url).check("old")
    assert 3 == done.returncode, done.stderr
