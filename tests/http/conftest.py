"""A served store in this process: the real application, the real middleware, no socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from goldseam import Goldseam, Registry
from goldseam.http import create_app


@pytest.fixture
def served(store_url: str) -> Iterator[TestClient]:
    """A server without classes and without tokens, on both stores."""
    app = create_app(Goldseam(store_url, registry=Registry(open_to_unknown=True)))
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A fresh file."""
    return f"sqlite:///{tmp_path / 'store.db'}"
