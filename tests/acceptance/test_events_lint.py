"""`goldseam events lint` as a developer or CI uses it: targets, glossary, outputs, exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from click.testing import CliRunner, Result

from goldseam.cli import events as events_door
from goldseam.cli.events import group
from goldseam.telemetry.signals import signals

SHOP = """\
import dataclasses

import goldseam
from goldseam import event
from goldseam import event as fact
from goldseam.events.registry import Registry

registry = Registry()
STORED_NAME = "shop.invoice-created"

@event
class CustomerPlacedOrder:
    order: str

@event(name="shop.parcel-shipped", version=2)
class Whatever:
    parcel: str

@registry.event
@dataclasses.dataclass(frozen=True)
class UserRecordUpdated:
    user: str

@fact(name=STORED_NAME)
class InvoiceIssued:
    invoice: str

@goldseam.event
class PlaceOrder:
    order: str

class UserTableRow: ...
"""
"""Five events, three of them badly named; `UserTableRow` is none."""


def line_of(name: str) -> int:
    """Where the shop declares a class, counted from 1."""
    return SHOP.splitlines().index(f"class {name}:") + 1


ROW, INVOICE, PLACE = (
    f"shop/facts.py:{line_of(name)}:"
    for name in ("UserRecordUpdated", "InvoiceIssued", "PlaceOrder")
)

CLEAN = "from goldseam import event\n\n\n@event\nclass CustomerPlacedOrder:\n    order: str\n"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with a package of events."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text('"""A shop."""\n', encoding="utf-8")
    (tmp_path / "shop" / "facts.py").write_text(SHOP, encoding="utf-8")
    (tmp_path / "clean.py").write_text(CLEAN, encoding="utf-8")
    return tmp_path


def lint(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(group, ["lint", *arguments])


def goldseam(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as it is installed, in its own process."""
    return subprocess.run(
        [sys.executable, "-m", "goldseam", "events", "lint", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def heads(text: str) -> list[str]:
    """`path:line: code name` of each line."""
    return [re.sub(r"^(\S+ \S+ [^:]+):.*$", r"\1", line) for line in text.splitlines()]


EXPECTED = [
    f"{ROW} GS102 UserRecordUpdated",
    f"{ROW} GS103 UserRecordUpdated",
    f"{INVOICE} GS102 shop.invoice-created",
    f"{PLACE} GS104 PlaceOrder",
]


@pytest.mark.parametrize("target", ["shop", "shop/facts.py", "./shop", "."])
def test_a_path_is_read_without_being_imported(shop: Path, target: str) -> None:
    """Decorated classes are found in a file or folder; each finding has its file and line."""
    (shop / "shop" / "facts.py").write_text(SHOP + "\nraise SystemExit(9)\n", encoding="utf-8")

    done = lint(target)

    assert EXPECTED == heads(done.stdout)
    assert 1 == done.exit_code
    assert "3 names flagged" in done.stderr


@pytest.mark.parametrize("target", ["parent.shop.facts", "parent.shop", "parent"])
def test_a_module_is_imported_from_the_current_folder(shop: Path, target: str) -> None:
    """A dotted module gives the events it registers; a package those of its submodules."""
    (shop / "parent").mkdir()
    (shop / "shop").rename(shop / "parent" / "shop")

    done = goldseam(target, cwd=shop)

    assert [f"parent/{line}" for line in EXPECTED] == heads(done.stdout)
    assert 1 == done.returncode, done.stderr


def test_a_module_shows_events_that_no_decorator_declares(shop: Path) -> None:
    """Registered by a call: seen by importing, not by reading."""
    late = "from goldseam.events.registry import registry\nimport dataclasses\n\n"
    late += "@dataclasses.dataclass\nclass Row:\n    x: int\n\n"
    late += "registry.register(Row, name='RowSaved')\n"
    (shop / "late.py").write_text(late, encoding="utf-8")

    assert 2 == lint("late.py").exit_code
    done = goldseam("late", cwd=shop)
    assert ["late.py:5: GS102 RowSaved", "late.py:5: GS103 RowSaved"] == heads(done.stdout)


def test_names_that_the_business_understands_pass(shop: Path) -> None:
    """A clean file is silent on stdout and exits 0."""
    done = goldseam("clean.py", cwd=shop)

    assert ("", 0) == (done.stdout, done.returncode)
    assert "1 events, 0 names flagged" in done.stderr


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nothing_here", "cannot be imported (ModuleNotFoundError"),
        ("nothing.py", "neither a .py file nor a folder"),
        ("no/such/folder", "neither a .py file nor a folder"),
        ("notes.txt", "neither a .py file nor a folder"),
        ("empty.py", "no events in 'empty.py'"),
        ("empty", "no events in 'empty'"),
        ("broken.py", "'broken.py' cannot be read"),
        ("a b", "cannot be imported"),
        ("..up", "cannot be imported"),
        ("nul\0", "NUL"),
    ],
)
def test_a_target_without_events_is_a_usage_error(shop: Path, target: str, words: str) -> None:
    """Nothing to check is never reported as clean."""
    (shop / "empty.py").write_text("x = 1\n", encoding="utf-8")
    (shop / "empty").mkdir()
    (shop / "broken.py").write_text("def (:\n", encoding="utf-8")
    (shop / "notes.txt").write_text("notes\n", encoding="utf-8")

    done = lint(target)

    assert 2 == done.exit_code
    assert words in done.stderr
    assert "" == done.stdout


def test_other_peoples_code_is_not_read(shop: Path) -> None:
    """Virtual environments and hidden folders hold no events of this project."""
    for folder in (".venv", "site-packages", "node_modules"):
        (shop / "only" / folder).mkdir(parents=True)
        (shop / "only" / folder / "facts.py").write_text(SHOP, encoding="utf-8")

    assert 2 == lint("only").exit_code


@pytest.mark.usefixtures("shop")
def test_a_folder_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit, with what to do instead."""
    monkeypatch.setattr(events_door, "FILES_MAX", 1)

    done = lint(".")

    assert 2 == done.exit_code
    assert "more than 1 Python files" in done.stderr


# ------------------------------------------------------------------------------ the glossary

GLOSSARY = """\
words = ["customer", "place", "order", "shop", "parcel", "ship", "invoice"]

[[waiver]]
name = "shop.invoice-created"
rule = "GS102"
reason = "stored since the first release"

[[waiver]]
name = "UserRecordUpdated"
rule = "GS102"

[[waiver]]
name = "OrderPlaced"
rule = "GS104"
reason = "left over"
"""


@pytest.mark.parametrize("beside", [True, False])
def test_the_glossary_is_found_beside_the_target_or_given(shop: Path, beside: bool) -> None:
    """Its waivers count, its broken and unused waivers are findings on their own lines."""
    file = shop / ("shop/glossary.toml" if beside else "words.toml")
    file.write_text(GLOSSARY, encoding="utf-8")

    done = lint("shop") if beside else lint("shop", "--glossary", "words.toml")

    assert [
        f"{ROW} GS102 UserRecordUpdated",
        f"{ROW} GS103 UserRecordUpdated",
        *[f"{ROW} GS105 UserRecordUpdated"] * 3,
        f"{INVOICE} GS105 shop.invoice-created",
        f"{PLACE} GS104 PlaceOrder",
        f"{file.relative_to(shop)}:8: GS201 UserRecordUpdated",
        f"{file.relative_to(shop)}:12: GS203 OrderPlaced",
    ] == heads(done.stdout)
    assert 1 == done.exit_code
    assert "1 findings waived" in done.stderr


@pytest.mark.parametrize(
    ("waiver", "code"),
    [
        ('name = "OrderCreated"\nrule = "GS102"\nreason = "stored"', 0),
        ('name = "OrderCreated"\nrule = "GS102"\nreason = "stored"\nexpires = 9999-12-31', 0),
        ('name = "OrderCreated"\nrule = "GS102"\nreason = "stored"\nexpires = 2020-12-31', 1),
        ('name = "OrderCreated"\nrule = "GS102"', 1),
        ('name = "OrderCreated"\nreason = "stored"', 2),
        ('name = "OrderCreated', 2),
    ],
    ids=["reason", "until-later", "expired", "no-reason", "no-rule", "no-toml"],
)
def test_only_a_waiver_with_a_reason_and_time_left_turns_the_lint_green(
    shop: Path, waiver: str, code: int
) -> None:
    """A waiver is taken as it is written, or refused."""
    (shop / "one").mkdir()
    source = CLEAN.replace("CustomerPlacedOrder", "OrderCreated")
    (shop / "one" / "facts.py").write_text(source, encoding="utf-8")
    assert 1 == lint("one").exit_code
    (shop / "one" / "glossary.toml").write_text(f"[[waiver]]\n{waiver}\n", encoding="utf-8")

    assert code == lint("one").exit_code


def test_an_unused_waiver_alone_does_not_fail(shop: Path) -> None:
    """Another folder may need it: a note."""
    waiver = '[[waiver]]\nname = "OrderPlaced"\nrule = "GS104"\nreason = "left over"\n'
    (shop / "glossary.toml").write_text(f"\n{waiver}", encoding="utf-8")

    done = lint("clean.py")

    assert ["glossary.toml:2: GS203 OrderPlaced"] == heads(done.stdout)
    assert 0 == done.exit_code


def test_json_has_every_finding(shop: Path) -> None:
    """One document with what the text says, and what was waived."""
    (shop / "shop" / "glossary.toml").write_text(
        '[[waiver]]\nname = "PlaceOrder"\nrule = "GS104"\nreason = "why"\n', encoding="utf-8"
    )

    report = json.loads(lint("shop", "--json").stdout)

    assert (5, 2) == (report["events"], report["flagged"])
    assert EXPECTED[:3] == [
        f"{each['path']}:{each['line']}: {each['rule']} {each['name']}"
        for each in report["findings"]
    ]
    assert [("PlaceOrder", "why")] == [(e["name"], e["reason"]) for e in report["waived"]]
    assert {"fact", "why", "question", "level"} <= set(report["findings"][0])


def check_sarif(log: dict[str, Any]) -> list[dict[str, Any]]:
    """What SARIF 2.1.0 and code hosts ask of a log; its results."""
    assert {"$schema", "version", "runs"} == set(log)
    assert "2.1.0" == log["version"]
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    ids = [rule["id"] for rule in rules]
    assert len(ids) == len(set(ids))
    for rule in rules:
        assert all(rule[key]["text"] for key in ("shortDescription", "fullDescription", "help"))
        assert rule["defaultConfiguration"]["level"] in {"error", "note"}
    prints = []
    for result in run["results"]:
        assert result["ruleId"] == ids[result["ruleIndex"]]
        assert result["level"] in {"error", "note"}
        assert result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert not PurePosixPath(place["artifactLocation"]["uri"]).is_absolute()
        assert re.fullmatch(r"[\w.~/%-]+", place["artifactLocation"]["uri"], re.ASCII)
        assert 1 <= place["region"]["startLine"]
        prints.append(result["partialFingerprints"]["primaryLocationLineHash"])
    assert len(prints) == len(set(prints))
    return list(run["results"])


def test_sarif_on_stdout_and_in_a_file(shop: Path) -> None:
    """The same log both ways; on stdout it is alone there; in a file the text stays."""
    alone = lint("shop", "--sarif", "-")
    beside = lint("shop", "--sarif", "found.sarif")

    assert (1, 1) == (alone.exit_code, beside.exit_code)
    assert EXPECTED == heads(beside.stdout)
    log = json.loads((shop / "found.sarif").read_text(encoding="utf-8"))
    assert log == json.loads(alone.stdout)
    results = check_sarif(log)
    assert ["GS102", "GS103", "GS102", "GS104"] == [each["ruleId"] for each in results]
    assert (
        line_of("UserRecordUpdated")
        == results[0]["locations"][0]["physicalLocation"]["region"]["startLine"]
    )


def test_sarif_fingerprints_stay_when_lines_move(shop: Path) -> None:
    """A code host recognises a finding after an edit above it."""
    before = check_sarif(json.loads(lint("shop", "--sarif", "-").stdout))
    (shop / "shop" / "facts.py").write_text(f"# a comment\n{SHOP}", encoding="utf-8")
    after = check_sarif(json.loads(lint("shop", "--sarif", "-").stdout))

    assert [e["partialFingerprints"] for e in before] == [e["partialFingerprints"] for e in after]
    assert [e["locations"] for e in before] != [e["locations"] for e in after]


def test_sarif_of_odd_paths_twice_declared_names_and_waivers(shop: Path) -> None:
    """URIs are escaped, the same finding twice has two fingerprints, a waiver is a suppression."""
    (shop / "my facts ü").mkdir()
    twice = CLEAN.replace("CustomerPlacedOrder", "OrderCreated")
    twice += twice.partition("\n\n\n")[2].replace(
        "@event", '@event(name="OrderCreated", version=2)'
    )
    (shop / "my facts ü" / "facts.py").write_text(twice, encoding="utf-8")
    (shop / "my facts ü" / "glossary.toml").write_text(
        '[[waiver]]\nname = "OrderCreated"\nrule = "GS102"\nreason = "stored"\n', encoding="utf-8"
    )

    done = lint("my facts ü", "--sarif", "-")

    results = check_sarif(json.loads(done.stdout))
    assert ["stored", "stored"] == [each["suppressions"][0]["justification"] for each in results]
    assert 0 == done.exit_code


def test_hostile_names_come_out_on_one_line(shop: Path) -> None:
    """New lines, escape codes and lone surrogates in a name do not write the report."""
    hostile = r'"OrderPlaced\n\x1b[31mclean.py:1: GS102 Forged\ud800"'
    (shop / "odd.py").write_text(
        CLEAN.replace("@event\n", f"@event(name={hostile})\n"), encoding="utf-8"
    )

    for arguments in ([], ["--json"], ["--sarif", "-"]):
        done = goldseam("odd.py", *arguments, cwd=shop)
        assert 1 == done.returncode, done.stderr
        assert "\x1b" not in done.stdout
        if not arguments:
            assert all(line.startswith("odd.py:5: ") for line in done.stdout.splitlines())


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "options", ["--json --sarif -", "--sarif no/such/folder.sarif", "--glossary no.toml"]
)
def test_options_that_cannot_be_followed_are_usage_errors(options: str) -> None:
    """CI does not go green because a report or a glossary was not where it was said to be."""
    assert 2 == lint("clean.py", *options.split()).exit_code


@pytest.mark.usefixtures("shop")
def test_flagged_names_are_counted() -> None:
    """The signal counts names, not findings."""
    before = signals.value("goldseam_event_names_flagged_total")

    lint("shop")

    assert before + 3 == signals.value("goldseam_event_names_flagged_total")
