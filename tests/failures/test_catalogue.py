"""Every pointer of every covered failure resolves, and every row of the guide has an entry."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import pytest

from goldseam import errors
from goldseam.failures import POINTERS, Failure, UnknownFailure, catalogue, find
from tests.docs.reference import error_classes

ROOT = Path(__file__).resolve().parents[2]
GUIDE_ROWS = Path(__file__).with_name("guide_rows.toml")
GUIDE_ROWS_COUNT = 82
RUNBOOK_SECTIONS = ("## Runbook: ", "### Symptoms", "### Diagnosis", "### Mitigation")
RUNBOOK_END = "### Post-Incident"
RUNBOOKS = "src/goldseam/governance/runbooks"
SOURCE = ROOT / "src" / "goldseam"
TEST = re.compile(r"def (test_\w+)\(")
CONTROL = "test_control_"
COMMAND = re.compile(r"(?m)(?:`|^ *)goldseam ([a-z]+) ([a-z]+)")

Problems = Iterator[str]


@dataclass(frozen=True)
class World:
    """What pointers point into; the tests of the resolver put a small false one in its place."""

    has_module: Callable[[str], bool]
    failure_of_exception: Callable[[str], str | None]
    has_signal: Callable[[str], bool]
    counts_signal: Callable[[str], bool]
    has_command: Callable[[str, str], bool]
    text_of: Callable[[str], str | None]
    slugs: frozenset[str]


def unresolved(entry: Failure, world: World) -> list[str]:
    """Every pointer of a covered entry that leads nowhere, as sentences; none for a planned one."""
    if entry.status == "planned":
        shown = [f"{name} is shown though it is only planned" for name in entry.pointers]
        return [f"{entry.slug}: {problem}" for problem in shown]
    found = (
        *_presence(entry),
        *_code(entry, world),
        *_tests(entry, world),
        *_runbook(entry, world),
        *_budget(entry, world),
    )
    return [f"{entry.slug}: {problem}" for problem in found]


def _presence(entry: Failure) -> Problems:
    for name in POINTERS:
        has, excused = name in entry.pointers, bool(entry.not_applicable.get(name, "").strip())
        if has == excused:
            yield f"{name} needs a value or a reason in not_applicable, and not both"


def _code(entry: Failure, world: World) -> Problems:
    if entry.module and not world.has_module(entry.module):
        yield f"module {entry.module} cannot be imported"
    if entry.exception:
        kin = world.failure_of_exception(entry.exception)
        if kin not in (entry.slug, *entry.related):
            yield f"exception {entry.exception} is of {kin}, not of this failure or a related one"
    if entry.signal and not world.has_signal(entry.signal):
        yield f"signal {entry.signal} is not in telemetry.signals.METRICS"
    elif entry.signal and not world.counts_signal(entry.signal):
        yield f"signal {entry.signal} is counted nowhere in the code"


def _tests(entry: Failure, world: World) -> Problems:
    for name, pointer in (("test", entry.test), ("drill", entry.drill)):
        if pointer is None:
            continue
        path, _, node = pointer.partition("::")
        text = world.text_of(path)
        if text is None:
            yield f"{name} {path} does not exist"
            continue
        if not any(slug in text for slug in (entry.slug, *entry.related)):
            yield f"{name} {path} does not name the slug"
        if node and f"def {node}(" not in text:
            yield f"{name} {path} has no {node}"
        controls = [one.startswith(CONTROL) for one in TEST.findall(text)]
        if name == "drill" and not any(controls):
            yield f"drill {path} has no control: no test named {CONTROL}..."
        if name == "drill" and all(controls):
            yield f"drill {path} has no run with the mitigation beside its control"


def _runbook(entry: Failure, world: World) -> Problems:
    if entry.runbook is None:
        return
    text = world.text_of(f"{RUNBOOKS}/{entry.runbook}.md")
    if text is None:
        yield f"runbook {entry.runbook}.md does not exist"
        return
    if not any(slug in text for slug in (entry.slug, *entry.related)):
        yield f"runbook {entry.runbook}.md does not name the slug"
    for section in (*RUNBOOK_SECTIONS, RUNBOOK_END):
        if f"\n{section}" not in f"\n{text}":
            yield f"runbook {entry.runbook}.md has no section {section.strip()!r}"
    for noun, verb in sorted(set(COMMAND.findall(text))):
        if not world.has_command(noun, verb):
            yield f"runbook {entry.runbook}.md tells of `goldseam {noun} {verb}`, no such command"


def _budget(entry: Failure, world: World) -> Problems:
    if entry.budget and entry.budget not in world.slugs:
        yield f"budget {entry.budget} is not in the catalogue"


# --- the real world ---------------------------------------------------------------------------


def _has_module(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True


def _failure_of(exception: str) -> str | None:
    module, _, name = exception.rpartition(".")
    found = getattr(import_module(module) if module else errors, name, None)
    return getattr(found, "failure", None)


def _has_signal(name: str) -> bool:
    from goldseam.telemetry.signals import METRICS

    return name in METRICS


def _counts_signal(name: str) -> bool:
    quoted = f'"{name}"'
    sources = (path for path in SOURCE.rglob("*.py") if path.name != "signals.py")
    return any(quoted in path.read_text(encoding="utf-8") for path in sources)


def _has_command(noun: str, verb: str) -> bool:
    try:
        group = import_module(f"goldseam.cli.{noun}").group
    except ImportError:
        return False
    return verb in group.commands


def _text_of(path: str) -> str | None:
    file = ROOT / path
    return file.read_text(encoding="utf-8") if file.is_file() else None


REAL = World(
    has_module=_has_module,
    failure_of_exception=_failure_of,
    has_signal=_has_signal,
    counts_signal=_counts_signal,
    has_command=_has_command,
    text_of=_text_of,
    slugs=frozenset(catalogue()),
)


def test_every_pointer_of_every_covered_entry_resolves() -> None:
    """What the catalogue calls covered has its code, test, drill, runbook, signal and budget."""
    problems = [problem for entry in catalogue().values() for problem in unresolved(entry, REAL)]
    if problems:
        pytest.fail(f"{len(problems)} pointers do not resolve:\n" + "\n".join(problems))


def test_every_row_of_the_guide_has_an_entry_under_its_heading() -> None:
    """No row of the guide is forgotten, and each entry stands where the guide has it."""
    rows = tomllib.loads(GUIDE_ROWS.read_text(encoding="utf-8"))
    wanted = {slug: section for section, row in rows.items() for slug in row.values()}
    assert GUIDE_ROWS_COUNT == sum(len(row) for row in rows.values())
    assert wanted == {slug: catalogue()[slug].guide for slug in wanted if slug in catalogue()}
    assert set() == {entry.guide for entry in catalogue().values()} - set(rows) - {
        # a section that has no row of its own, only the failures of the store under it
        'The "Effectively-Once" Myth',
    }


def test_every_exception_names_a_failure_of_the_catalogue() -> None:
    """An error's ``failure`` is a slug that ``goldseam failures show`` can explain."""
    named = {kind.failure for kind in error_classes()} - {None}
    assert set() == named - set(catalogue())
    assert named


def test_every_related_slug_exists() -> None:
    """No entry sends the reader to another one that is not there."""
    entries = catalogue()
    assert [] == [
        (entry.slug, slug)
        for entry in entries.values()
        for slug in entry.related
        if slug not in entries or slug == entry.slug
    ]


def test_every_entry_says_something() -> None:
    """Title, guide, cause, impact and mitigation are filled in, without a full stop at the end."""
    texts = [
        (entry.slug, text)
        for entry in catalogue().values()
        for text in (entry.title, entry.guide, entry.cause, entry.impact, entry.mitigation)
    ]
    assert [] == [(slug, text) for slug, text in texts if not text.strip() or text.endswith(".")]


def test_every_runbook_belongs_to_an_entry() -> None:
    """No runbook is left over from a failure that has another name now."""
    known = {entry.file_name for entry in catalogue().values()}
    assert set() == {path.stem for path in (ROOT / RUNBOOKS).glob("*.md")} - known
    assert known


def test_every_covered_failure_has_a_runbook_of_its_own() -> None:
    """Only a practice may send its reader to the runbook of the failure it cures."""
    covered = [one for one in catalogue().values() if one.kind == "failure" and one.runbook]
    assert [] == [one.slug for one in covered if one.runbook != one.file_name]


# --- the catalogue's own rules ----------------------------------------------------------------


def test_a_mistyped_slug_gets_a_suggestion() -> None:
    """Whoever mistypes a slug is told the right one."""
    with pytest.raises(UnknownFailure, match="did you mean store/version-conflict") as caught:
        find("store/verson_conflict")
    assert "store/version-conflict" == caught.value.nearest[0]


def test_an_unlike_slug_gets_no_suggestion() -> None:
    """A wrong hint is worse than none."""
    with pytest.raises(UnknownFailure, match="goldseam failures list") as caught:
        find("zzzzzzzz")
    assert () == caught.value.nearest


def test_a_planned_entry_drops_its_pointers() -> None:
    """What is not built cannot be taken for covered, whatever the file says."""
    planned = replace(COVERED, status="planned")
    assert {} == planned.pointers
    assert {} == planned.not_applicable


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "rumour"}, {"status": "done"}, {"severity": "P5"}, {"slug": "moon/x"}, {"slug": "x"}],
    ids=str,
)
def test_a_word_outside_the_closed_sets_is_refused(wrong: dict[str, str]) -> None:
    """A typing error in the catalogue fails at once and names the slug."""
    with pytest.raises(ValueError, match="failure '"):
        replace(COVERED, **wrong)  # type: ignore[arg-type]


# --- the resolver can fail --------------------------------------------------------------------

COVERED = Failure(
    slug="store/example",
    title="An example",
    kind="failure",
    guide="Producer-Side Failures",
    cause="A cause",
    impact="An impact",
    mitigation="A cure",
    status="covered",
    severity="P3",
    module="goldseam.there",
    exception="Example",
    signal="goldseam_examples_total",
    test="tests/there.py",
    runbook="store-example",
    drill="tests/there.py::test_control_it_breaks",
    budget="governance/budget-example",
)

TEST_TEXT = '"""store/example."""\ndef test_control_it_breaks():\ndef test_the_cure_holds():\n'
RUNBOOK_TEXT = "store/example\n" + "\n".join(
    (*RUNBOOK_SECTIONS, "`goldseam store mend`", RUNBOOK_END)
)
FILES = {"tests/there.py": TEST_TEXT, f"{RUNBOOKS}/store-example.md": RUNBOOK_TEXT}

SMALL = World(
    has_module=lambda name: name == "goldseam.there",
    failure_of_exception=lambda name: "store/example" if name == "Example" else None,
    has_signal=lambda name: name in ("goldseam_examples_total", "goldseam_idle_total"),
    counts_signal=lambda name: name == "goldseam_examples_total",
    has_command=lambda noun, verb: (noun, verb) == ("store", "mend"),
    text_of=FILES.get,
    slugs=frozenset({"store/example", "governance/budget-example"}),
)


def test_the_resolver_finds_nothing_wrong_with_a_whole_entry() -> None:
    """The control of the tests below: with everything in place there is no finding."""
    assert [] == unresolved(COVERED, SMALL)


@pytest.mark.parametrize(
    ("broken", "finding"),
    [
        ({"module": "goldseam.gone"}, "module goldseam.gone cannot be imported"),
        ({"exception": "Gone"}, "exception Gone is of None"),
        ({"signal": "goldseam_gone_total"}, "signal goldseam_gone_total is not in"),
        ({"signal": "goldseam_idle_total"}, "goldseam_idle_total is counted nowhere"),
        ({"test": "tests/gone.py"}, "test tests/gone.py does not exist"),
        ({"drill": "tests/gone.py"}, "drill tests/gone.py does not exist"),
        ({"drill": "tests/there.py::test_gone"}, "has no test_gone"),
        ({"runbook": "gone"}, "runbook gone.md does not exist"),
        ({"budget": "governance/gone"}, "budget governance/gone is not in the catalogue"),
        ({"signal": None}, "signal needs a value or a reason"),
        ({"not_applicable": {"signal": "why"}}, "signal needs a value or a reason"),
        ({"signal": None, "not_applicable": {"signal": " "}}, "signal needs a value or a reason"),
    ],
    ids=str,
)
def test_the_resolver_finds_each_broken_pointer(broken: dict[str, str], finding: str) -> None:
    """A pointer that leads nowhere is found, and it alone."""
    problems = unresolved(replace(COVERED, **broken), SMALL)  # type: ignore[arg-type]
    assert 1 == len(problems)
    assert finding in problems[0]


@pytest.mark.parametrize(
    ("path", "old", "new", "finding"),
    [
        ("tests/there.py", "store/example", "another", "does not name the slug"),
        ("tests/there.py", "test_control_it", "test_it", "has no control"),
        ("tests/there.py", "test_the_cure", "test_control_the_cure", "no run with the mitigation"),
        (f"{RUNBOOKS}/store-example.md", "### Diagnosis", "### Thoughts", "no section"),
        (f"{RUNBOOKS}/store-example.md", "store/example", "another", "does not name the slug"),
        (f"{RUNBOOKS}/store-example.md", "store mend", "store pray", "no such command"),
    ],
)
def test_the_resolver_reads_what_is_in_the_files(
    path: str, old: str, new: str, finding: str
) -> None:
    """A file that exists and says the wrong thing is found."""
    files = FILES | {path: FILES[path].replace(old, new)}
    assert any(
        finding in problem for problem in unresolved(COVERED, replace(SMALL, text_of=files.get))
    )
