"""The catalogue's doors: the command line, the generated docs, the map of the guide."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from goldseam.cli.failures import group
from goldseam.failures import catalogue

ROOT = Path(__file__).resolve().parents[2]
SEED_MAP = ROOT / "docs" / "seed-map.md"


def _tool() -> ModuleType:
    spec = spec_from_file_location("catalogue_to_docs", ROOT / "tools" / "catalogue_to_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_show_explains_one_failure() -> None:
    """At 3 a.m. one command gives the cause, the cure and the runbook."""
    result = CliRunner().invoke(group, ["show", "store/version-conflict", "--runbook"])
    assert 0 == result.exit_code
    assert "VersionConflict" in result.stdout
    assert "### Symptoms" in result.stdout


def test_show_of_a_mistyped_slug_is_a_usage_error_with_a_suggestion() -> None:
    """Exit code 2, nothing on stdout, and the right slug on stderr."""
    result = CliRunner().invoke(group, ["show", "store/disk-ful"])
    assert (2, "") == (result.exit_code, result.stdout)
    assert "did you mean store/disk-full" in result.stderr


def test_show_never_gives_a_planned_failure_a_pointer() -> None:
    """Planned is planned on the command line too."""
    result = CliRunner().invoke(group, ["show", "cluster/split-brain", "--json", "--runbook"])
    shown = json.loads(result.stdout)
    assert ("planned", {}, None) == (shown["status"], shown["pointers"], shown["runbook_text"])


@pytest.mark.parametrize("option", ["--side=store", "--status=covered", "--status=planned"])
def test_list_shows_what_the_filter_asks_for(option: str) -> None:
    """Each filter keeps the entries that fit, and only those."""
    name, _, value = option.removeprefix("--").partition("=")
    listed = json.loads(CliRunner().invoke(group, ["list", option, "--json"]).stdout)
    expected = [slug for slug, entry in catalogue().items() if getattr(entry, name) == value]
    assert expected == [entry["slug"] for entry in listed]
    assert 0 < len(listed) < len(catalogue())


def test_the_generated_docs_are_up_to_date() -> None:
    """README table and pages say what the catalogue says."""
    tool = _tool()
    stale = tool.drift(tool.wanted(catalogue(), ROOT), ROOT)
    assert [] == stale, "run: python -m tools.catalogue_to_docs"


def test_the_docs_check_fails_on_a_changed_a_missing_and_a_leftover_page(tmp_path: Path) -> None:
    """The check can fail, and writing mends each of the three."""
    tool = _tool()
    files = {tool.PAGES / name: "text" for name in ("kept.md", "changed.md", "missing.md")}
    tool.write(files, tmp_path)
    assert [] == tool.drift(files, tmp_path)
    (tmp_path / tool.PAGES / "changed.md").write_text("other", encoding="utf-8")
    (tmp_path / tool.PAGES / "missing.md").unlink()
    (tmp_path / tool.PAGES / "leftover.md").write_text("text", encoding="utf-8")
    drifted = [path.name for path in tool.drift(files, tmp_path)]
    assert ["changed.md", "leftover.md", "missing.md"] == drifted
    tool.write(files, tmp_path)
    assert [] == tool.drift(files, tmp_path)


def test_the_readme_keeps_everything_outside_its_markers() -> None:
    """Only what stands between the markers is generated."""
    tool = _tool()
    readme = f"before\n{tool.BEGIN}\nold\n{tool.END}\nafter\n"
    assert f"before\n{tool.BEGIN}\n\nnew\n\n{tool.END}\nafter\n" == tool.with_table(readme, "new")
    with pytest.raises(ValueError, match="needs the markers"):
        tool.with_table("a README without markers", "new")


def test_no_planned_failure_stands_in_the_covered_table() -> None:
    """The README's first table holds covered failures only."""
    covered, _, planned = _tool().readme_table(catalogue()).partition("<details>")
    for slug, entry in catalogue().items():
        if entry.kind == "failure":
            assert (entry.status == "covered", entry.status == "planned") == (
                f"`{slug}`" in covered,
                f"`{slug}`" in planned,
            )


def test_every_place_on_the_map_of_the_guide_exists() -> None:
    """docs/seed-map.md leads to real files, and its entries are those of the catalogue."""
    quoted = re.findall(r"`([^`]+)`", SEED_MAP.read_text(encoding="utf-8"))
    places = [text for text in quoted if text.startswith(("src/", "examples/"))]
    slugs = [text for text in quoted if text not in places]
    assert [] == [place for place in places if not (ROOT / place).exists()]
    assert [] == [slug for slug in slugs if not any(fnmatch(one, slug) for one in catalogue())]
    missing = [one for one in catalogue() if not any(fnmatch(one, slug) for slug in slugs)]
    assert [] == [one for one in missing if not one.startswith("store/")]
