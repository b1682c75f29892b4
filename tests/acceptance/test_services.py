"""`make services` owns one PostgreSQL and never uses another's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tools import postgres_binaries
from tools.postgres_server import MARKER, PostgresServer, ServerRefused

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = postgres_binaries.find()
LEAVE_SECONDS_MAX = 30

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(
        PROGRAMS is None, reason="missing part: PostgreSQL is not installed; run: make services"
    ),
]


class Checkout:
    """A throw-away checkout with a server of its own."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        assert PROGRAMS is not None
        self.root = root
        self.server = PostgresServer(root, PROGRAMS)

    def services(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the tool as a user does."""
        return subprocess.run(
            [
                *(sys.executable, "-m", "tools.services", *words),
                *("--only", "postgresql", "--root", str(self.root)),
            ],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )

    def fake_port(self, port: int) -> None:
        """Make the checkout believe that its server listens on `port`."""
        state = json.loads((self.server.home / "state.json").read_text())
        (self.server.home / "state.json").write_text(json.dumps({**state, "port": port}))

    def remove(self) -> None:
        """Stop the server and delete everything that it made."""
        self.server.stop("immediate")
        shutil.rmtree(self.server.home, ignore_errors=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path / "mine")
    yield made
    made.remove()


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path / "theirs")
    made.server.start()
    yield made
    made.remove()


def _postmaster(checkout: Checkout) -> str:
    return (checkout.server.data / "postmaster.pid").read_text().splitlines()[0]


def _ask(url: str, question: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return str(row[0])


def test_starting_twice_is_starting_once(checkout: Checkout) -> None:
    """The second start finds the first's server and says the same URL."""
    first = checkout.services("start")
    postmaster = _postmaster(checkout)
    second = checkout.services("start")

    assert (0, 0) == (first.returncode, second.returncode), first.stderr + second.stderr
    assert first.stdout == second.stdout
    assert postmaster == _postmaster(checkout)
    assert first.stdout == (checkout.root / ".services" / "postgres.url").read_text()


def test_the_server_is_durable_and_private(checkout: Checkout) -> None:
    """fsync is on, and nobody beyond this machine can knock."""
    url = checkout.server.start()

    assert "on" == _ask(url, "SHOW fsync")
    assert "127.0.0.1" == _ask(url, "SHOW listen_addresses")
    assert "200" == _ask(url, "SHOW max_connections")
    assert str(checkout.server.data) == _ask(url, "SHOW data_directory")


def test_another_server_on_our_port_is_refused(checkout: Checkout, foreign: Checkout) -> None:
    """Exit code 4, both data directories in the message, no URL given, the other left alone."""
    checkout.server.start()
    checkout.server.stop()
    checkout.fake_port(foreign.server.port())
    before = _postmaster(foreign)

    for verb in ("start", "url"):
        refused = checkout.services(verb)
        assert (4, "") == (refused.returncode, refused.stdout)
        assert str(foreign.server.data) in refused.stderr
        assert str(checkout.server.data) in refused.stderr
        assert "--new-port" in refused.stderr
    assert not (checkout.root / ".services" / "postgres.url").exists()
    assert 0 == checkout.services("stop").returncode
    assert before == _postmaster(foreign)
    assert "1" == _ask(foreign.server.url(), "SELECT 1")


def test_a_new_port_gets_out_of_the_way(checkout: Checkout, foreign: Checkout) -> None:
    """The next step that the refusal names works."""
    checkout.server.start()
    checkout.server.stop()
    checkout.fake_port(foreign.server.port())

    moved = checkout.services("start", "--new-port", "--json")

    assert 0 == moved.returncode, moved.stderr
    assert str(checkout.server.data) == _ask(json.loads(moved.stdout)["url"], "SHOW data_directory")


@pytest.mark.parametrize("maker", [None, "/some/other/checkout"], ids=["nobody", "another"])
def test_a_folder_that_we_did_not_make_is_refused(checkout: Checkout, maker: str | None) -> None:
    """Somebody's database in the place of ours is neither used nor deleted."""
    home = checkout.server.home
    home.mkdir(exist_ok=True)
    (home / "data").mkdir()
    (home / "data" / "precious").write_text("yes")
    if maker is not None:
        (home / MARKER).write_text(maker)

    refused = checkout.services("start")

    assert 4 == refused.returncode
    assert str(home) in refused.stderr
    assert "yes" == (home / "data" / "precious").read_text()


def test_a_link_in_the_place_of_our_folder_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    """A planted link does not lead the writes of root elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    checkout.server.home.symlink_to(tmp_path / "elsewhere")
    try:
        with pytest.raises(ServerRefused, match="is a link"):
            checkout.server.start()
        assert [] == list((tmp_path / "elsewhere").iterdir())
    finally:
        checkout.server.home.unlink()


def test_the_process_file_of_a_crash_does_not_stop_a_start(checkout: Checkout) -> None:
    """After SIGKILL the file may name any living process, ours for instance."""
    url = checkout.server.start()
    lines = (checkout.server.data / "postmaster.pid").read_text().splitlines(keepends=True)
    checkout.server.kill()
    deadline = time.monotonic() + LEAVE_SECONDS_MAX
    while checkout.server.running() and time.monotonic() < deadline:
        time.sleep(0.05)
    stale = "".join([f"{os.getpid()}\n", *lines[1:]])
    (checkout.server.data / "postmaster.pid").write_text(stale)

    started = checkout.services("start")

    assert (0, url) == (started.returncode, started.stdout.strip()), started.stderr
    assert str(os.getpid()) != _postmaster(checkout)
    assert "1" == _ask(url, "SELECT 1")


def test_stop_stops_and_may_be_repeated(checkout: Checkout) -> None:
    """After stop nothing answers, and status says so with exit code 3."""
    url = checkout.server.start()

    assert 0 == checkout.services("status").returncode
    assert [0, 0] == [checkout.services("stop").returncode for _ in range(2)]
    assert 3 == checkout.services("status").returncode
    assert not (checkout.root / ".services" / "postgres.url").exists()
    with pytest.raises(psycopg.OperationalError):
        _ask(url, "SELECT 1")
