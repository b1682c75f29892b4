"""Write the README's failure table and docs/failures/ from the failure catalogue, or check them.

Run ``python -m tools.catalogue_to_docs`` in the checkout; ``--check`` writes nothing and exits 1
when a page or the table is not what the catalogue says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from goldseam.failures import SIDES, Failure, catalogue

ROOT = Path(__file__).resolve().parent.parent
PAGES = Path("docs/failures")
README = Path("README.md")
RUNBOOKS = Path("src/goldseam/governance/runbooks")
BEGIN, END = "<!-- failures:begin -->", "<!-- failures:end -->"
NOTE = "<!-- Generated from the failure catalogue by tools/catalogue_to_docs.py; do not edit. -->"
MEANING = """\
A covered entry has code, a test, a drill and a runbook, and a test that resolves each of them.
A planned entry is not built yet."""

Entries = Mapping[str, Failure]


def table(entries: Sequence[Failure], link_prefix: str) -> str:
    """A Markdown table of ``entries``: the failure and its page, its cure, the test that proves it.

    A planned entry has no test: the word "planned" stands in its place.
    """
    lines = ["| Failure | Cure | Proof |", "| :--- | :--- | :--- |"]
    for entry in entries:
        failure = f"{_cell(entry.title)} · [`{entry.slug}`]({link_prefix}{entry.file_name}.md)"
        proof = "*planned*" if entry.test is None else f"[test]({entry.test})"
        lines.append(f"| {failure} | {_cell(entry.mitigation)} | {proof} |")
    return "\n".join(lines)


def readme_table(entries: Entries) -> str:
    """What stands between the README's markers: covered failures, then the planned ones, folded."""
    failures = [entry for entry in entries.values() if entry.kind == "failure"]
    covered = [entry for entry in failures if entry.status == "covered"]
    planned = [entry for entry in failures if entry.status == "planned"]
    practices = [entry for entry in entries.values() if entry.kind == "practice"]
    done = sum(entry.status == "covered" for entry in practices)
    prefix = f"{PAGES.as_posix()}/"
    whole = f"[the whole list]({prefix}index.md)"
    return "\n\n".join(
        (
            table(covered, prefix),
            f"<details><summary>Planned, not built yet: {len(planned)} failures</summary>",
            table(planned, prefix),
            "</details>",
            f"{done} of {len(practices)} practices of the guide are covered too: {whole}.",
        )
    )


def index(entries: Entries) -> str:
    """The page that lists every entry, side by side, with its status."""
    covered = sum(entry.status == "covered" for entry in entries.values())
    parts = [
        f"{NOTE}\n\n# The failure catalogue",
        f"{len(entries)} failure modes and practices, {covered} covered.\n{MEANING}",
    ]
    for side in SIDES:
        rows = [entry for entry in entries.values() if entry.side == side]
        lines = [f"## {side}", "", "| Entry | Kind | Status | Class | Title |"]
        lines.append("| :--- | :--- | :--- | :---: | :--- |")
        for entry in rows:
            link = f"[`{entry.slug}`]({entry.file_name}.md)"
            about = f"{entry.kind} | {entry.status} | {entry.severity} | {_cell(entry.title)}"
            lines.append(f"| {link} | {about} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def page(entry: Failure, runbook: str | None) -> str:
    """One failure's page: what it is, where its parts are, and its runbook word for word."""
    parts = [
        f"{NOTE}\n\n# {entry.title}",
        f"`{entry.slug}` · {entry.kind} · **{entry.status}** · {entry.severity}",
    ]
    if entry.status == "planned":
        parts.append("This is planned and not built yet: nothing in goldseam mends it today.")
    parts.extend(
        f"## {heading.capitalize()}\n\n{getattr(entry, heading)}."
        for heading in ("cause", "impact", "mitigation")
    )
    parts.append(f"## In the guide\n\n{entry.guide}.")
    if entry.related:
        links = (f"- [`{slug}`]({slug.replace('/', '-')}.md)" for slug in entry.related)
        parts.append("## Related\n\n" + "\n".join(links))
    if entry.pointers:
        rows = [f"| {name} | {_place(name, value)} |" for name, value in entry.pointers.items()]
        rows += [f"| {name} | none: {why} |" for name, why in entry.not_applicable.items()]
        parts.append("## Where it lives\n\n| Part | Where |\n| :--- | :--- |\n" + "\n".join(rows))
    if runbook is not None:
        parts.append(runbook.strip())
    return "\n\n".join(parts) + "\n"


def pages(entries: Entries, root: Path) -> dict[Path, str]:
    """Every page of docs/failures/ by its path below ``root``."""
    written = {PAGES / "index.md": index(entries)}
    for entry in entries.values():
        written[PAGES / f"{entry.file_name}.md"] = page(entry, _runbook(entry, root))
    return written


def with_table(readme: str, content: str) -> str:
    """``readme`` with ``content`` between its markers; ValueError when it lacks one of them."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README needs the markers {BEGIN} and {END}, in this order")
    return f"{before}{BEGIN}\n\n{content}\n\n{END}{after}"


def wanted(entries: Entries, root: Path) -> dict[Path, str]:
    """Every generated file below ``root`` and its content; the README only if it is there."""
    files = pages(entries, root)
    readme = root / README
    if readme.exists():
        files[README] = with_table(readme.read_text(encoding="utf-8"), readme_table(entries))
    else:
        print(f"{README} does not exist: its table is not written", file=sys.stderr)
    return files


def drift(files: Mapping[Path, str], root: Path) -> list[Path]:
    """The generated files that differ, are missing, or belong to no entry any more."""
    changed = [path for path, text in files.items() if _read(root / path) != text]
    return sorted(changed + _leftovers(files, root))


def write(files: Mapping[Path, str], root: Path) -> None:
    """Write every file and remove the pages that belong to no entry any more."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for path in _leftovers(files, root):
        (root / path).unlink()


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write the files, or with ``--check`` only name those that would change (then 1)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 on drift")
    check = parser.parse_args(arguments).check
    try:
        files = wanted(catalogue(), root)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    changed = drift(files, root)
    if not check:
        write(files, root)
    for path in changed:
        print(f"{'differs' if check else 'wrote'}: {path.as_posix()}")
    return 1 if check and changed else 0


def _place(name: str, value: str) -> str:
    # A budget is an entry of its own, and its page says whether anything measures it yet.
    return f"[`{value}`]({value.replace('/', '-')}.md)" if name == "budget" else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _leftovers(files: Mapping[Path, str], root: Path) -> list[Path]:
    found = (path.relative_to(root) for path in (root / PAGES).glob("*.md"))
    return [path for path in found if path not in files]


def _runbook(entry: Failure, root: Path) -> str | None:
    if entry.runbook is None:
        return None
    return (root / RUNBOOKS / f"{entry.runbook}.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
