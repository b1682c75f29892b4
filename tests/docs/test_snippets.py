"""Every Python snippet of the documentation is Python, and what it imports is there."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [page for page in sorted(ROOT.glob("docs/**/*.md")) if BLOCK.search(page.read_text())]


def there(module: str | None, name: str) -> bool:
    """Whether ``from module import name`` works; it may be a module too."""
    if hasattr(import_module(module or ""), name):
        return True
    try:
        import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


def broken(page: str) -> list[str]:
    """What is wrong with the snippets of a page."""
    found = []
    for snippet in BLOCK.findall(page):
        try:
            compile(snippet, "snippet", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError as error:
            found.append(f"{error.msg}: {error.text}")
            continue
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("goldseam"):
                names = [one.name for one in node.names]
                found += [
                    f"{node.module} has no {name}" for name in names if not there(node.module, name)
                ]
    return found


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_snippets_are_python_and_import_what_is_there(page: Path) -> None:
    """A page that was not changed with the code is found."""
    assert [] == broken(page.read_text("utf-8"))


def test_control_a_name_that_is_gone_is_found() -> None:
    """And so is what is no Python."""
    assert ["goldseam has no nothing"] == broken("```python\nfrom goldseam import nothing\n```\n")
    assert broken("```python\nawait = 5\n```\n")
