"""What a machine can check about the code's shape is a test, not a review comment.

Each rule is a function from source text to complaints, so that its control can show it failing.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 40

BANNED = {
    ("os", "environ"),
    ("os", "getenv"),
    ("time", "time"),
    ("time", "time_ns"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("date", "today"),
    ("uuid", "uuid1"),
    ("uuid", "uuid4"),
    ("uuid_utils", "uuid4"),
    ("uuid_utils", "uuid7"),
}
"""Time, randomness and the environment are passed in, so that a simulation can replace them."""

MAY_CALL_BANNED = (
    "src/goldseam/resilience/clock.py",
    "src/goldseam/runtime/settings.py",
    "src/goldseam/cli/",
)

OPTIONAL = (
    "boto3",
    "click",
    "cryptography",
    "fastapi",
    "hvac",
    "psycopg",
    "pydantic",
    "rich",
    "sqlalchemy",
    "starlette",
    "uvicorn",
)

LEFT_BEHIND = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
MACHINE_PATH = re.compile(
    r"/(work/(main|shared|\.library)|roo" r"t/|tmp/ven" r"v|Users/\w+|home/\w+/)"
)

Rule = Callable[[str], Iterator[str]]


def files() -> list[Path]:
    """Every text file that is, or could be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = {name for name in listed.stdout.split("\0") if name}
    return sorted(ROOT / name for name in names if (ROOT / name).is_file())


def python_files(*folders: str) -> list[Path]:
    """Python files of the repository, of some folders only if any are named."""
    found = [path for path in files() if path.suffix == ".py"]
    return [p for p in found if not folders or p.relative_to(ROOT).parts[0] in folders]


def complaints(rule: Rule, paths: list[Path]) -> list[str]:
    """What `rule` says of the files, each with the file's name."""
    found = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {words}" for words in rule(text)]
    return found


# ------------------------------------------------------------------------------ the rules


def short_module(source: str) -> Iterator[str]:
    """A module fits a reader's head."""
    lines = source.count("\n")
    if lines > MODULE_LINES_MAX:
        yield f"{lines} lines, not <= {MODULE_LINES_MAX}: give each reason to exist its own file"


def short_functions(source: str) -> Iterator[str]:
    """A function's code fits one screen; its signature, docstring and comments do not count."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        if not body:
            continue
        span = (line.strip() for line in lines[body[0].lineno - 1 : node.end_lineno])
        size = sum(1 for line in span if line and not line.startswith("#"))
        if size > FUNCTION_LINES_MAX:
            yield f"{node.name}: {size} code lines, not <= {FUNCTION_LINES_MAX}"


def module_docstring(source: str) -> Iterator[str]:
    """The first sentence says why the file exists."""
    words = ast.get_docstring(ast.parse(source))
    if not words:
        yield "no docstring that says in one sentence why it exists"
    elif not re.search(r"[.!?:`](\s|$)", words):
        yield f"the docstring is no sentence: {words!r}"


def one_colour(source: str) -> Iterator[str]:
    """One coroutine, two colours: never a function and its asynchronous twin."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = node.name.strip("_")
            if name.endswith("_async") or name.startswith("async_"):
                yield f"{node.name}: drive one coroutine with run_blocking instead of a twin"


def nothing_left_behind(source: str) -> Iterator[str]:
    """What is not done is in an issue, not in the code."""
    for found in LEFT_BEHIND.finditer(source):
        yield f"{found.group()} left behind"


def no_machine_path(source: str) -> Iterator[str]:
    """Nothing names a folder of the machine it was written on."""
    for found in MACHINE_PATH.finditer(source):
        yield f"{found.group()!r} is a path of one machine"


def time_and_environment_are_passed(source: str) -> Iterator[str]:
    """Clocks, identifiers and settings are parameters."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            if (name, node.attr) in BANNED:
                yield f"line {node.lineno}: {name}.{node.attr} is banned; take it as a parameter"
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (node.module, alias.name) in BANNED:
                    yield f"line {node.lineno}: {node.module}.{alias.name} is banned"


# ------------------------------------------------------------------------------ they hold

EVERYWHERE = ("src", "tests", "tools", "examples", "benchmarks")
PYTHON_RULES: list[tuple[Rule, tuple[str, ...]]] = [
    (short_module, EVERYWHERE),
    (short_functions, EVERYWHERE),
    (module_docstring, EVERYWHERE),
    (one_colour, ("src",)),
]


@pytest.mark.parametrize(
    ("rule", "folders"), PYTHON_RULES, ids=lambda v: getattr(v, "__name__", "")
)
def test_the_code_keeps_its_shape(rule: Rule, folders: tuple[str, ...]) -> None:
    """Every Python file keeps the rule."""
    paths = python_files(*folders)

    assert len(paths) > 20, "the rule looked at next to nothing"
    assert [] == complaints(rule, paths)


@pytest.mark.parametrize("rule", [nothing_left_behind, no_machine_path], ids=lambda r: r.__name__)
def test_the_repository_is_clean(rule: Rule) -> None:
    """Every text file of the repository keeps the rule."""
    paths = [path for path in files() if path.name not in {"LICENSE", "test_tidy.py"}]

    assert [] == complaints(rule, paths)


def test_time_and_environment_enter_at_the_named_places() -> None:
    """Only the clock, the settings and the command line touch the outside world."""
    paths = [
        path
        for path in python_files("src")
        if not path.relative_to(ROOT).as_posix().startswith(MAY_CALL_BANNED)
    ]

    assert [] == complaints(time_and_environment_are_passed, paths)


# ------------------------------------------------------------------------------ their controls

LONG_FUNCTION = "def f():\n    '''Doc.'''\n" + "    x = 1\n" * (FUNCTION_LINES_MAX + 1)
BROKEN: list[tuple[Rule, str]] = [
    (short_module, "\n" * (MODULE_LINES_MAX + 1)),
    (short_functions, LONG_FUNCTION),
    (module_docstring, "x = 1\n"),
    (module_docstring, '"""helpers"""\n'),
    (one_colour, "async def append_async(): ...\n"),
    (nothing_left_behind, "# TODO later\n"),
    (no_machine_path, f"open('/{'root'}/x')\n"),
    (time_and_environment_are_passed, "import os\nos.environ['X']\n"),
    (time_and_environment_are_passed, "from uuid import uuid4\n"),
    (time_and_environment_are_passed, "import datetime\ndatetime.datetime.now()\n"),
]


@pytest.mark.parametrize(("rule", "source"), BROKEN, ids=lambda v: getattr(v, "__name__", "source"))
def test_each_rule_sees_what_it_forbids(rule: Rule, source: str) -> None:
    """Control: a check that cannot fail proves nothing."""
    assert 1 <= len(list(rule(source)))


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (short_functions, LONG_FUNCTION.replace("    x = 1\n", "", 1)),
        (short_functions, LONG_FUNCTION.replace("    x = 1\n", "    # why\n", 1)),
        (short_module, "\n" * MODULE_LINES_MAX),
    ],
    ids=["code-lines", "comments", "module"],
)
def test_the_limits_themselves_are_allowed(rule: Rule, source: str) -> None:
    """At the limit is within it, and comments are free."""
    assert [] == list(rule(source))


# ------------------------------------------------------------------------------ start-up


def _imported_by(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT / "src",
    )
    return {name.partition(".")[0] for name in done.stdout.splitlines()}


@pytest.mark.parametrize(
    "statement",
    ["import goldseam", "from goldseam import open_store, event", "import goldseam.cli"],
)
def test_importing_goldseam_imports_no_extra(statement: str) -> None:
    """`pip install goldseam` is enough, and nothing optional slows the start."""
    allowed = {"click"} if statement.endswith("cli") else set()

    assert set() == _imported_by(statement).intersection(OPTIONAL) - allowed


def test_the_start_up_check_sees_an_extra() -> None:
    """Control: an import of an extra is seen."""
    assert "click" in _imported_by("import goldseam, click")
