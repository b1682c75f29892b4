"""Pairs of empty stores: every way a log can be moved between the two back-ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.migration.outside import empty_stores


class Pair(NamedTuple):
    """The URLs of a source and a target, both empty."""

    source: str
    target: str


@pytest.fixture(
    params=[
        "sqlite-sqlite",
        pytest.param("sqlite-postgresql", marks=pytest.mark.postgres),
        pytest.param("postgresql-postgresql", marks=pytest.mark.postgres),
    ]
)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """Each way once."""
    first, second = request.param.split("-")
    postgres = str(request.getfixturevalue("postgres_url")) if "postgres" in request.param else None
    with (
        empty_stores(first, postgres, tmp_path) as sources,
        empty_stores(second, postgres, tmp_path) as targets,
    ):
        yield Pair(sources(), targets())
