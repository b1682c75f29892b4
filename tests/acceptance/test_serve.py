"""``goldseam serve`` as a process: refuses to be open, streams live, survives bad clients."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.acceptance.served import serve

EVENT = {"events": [{"type": "Ticked", "data": {"n": 1}}], "expected": "any"}


def goldseam(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "goldseam", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def call(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    content = None if body is None else json.dumps(body)
    sent = {"Content-Type": "application/json", **(headers or {})}
    connection.request(method, path, content, sent)
    response = connection.getresponse()
    raw = response.read()
    connection.close()
    return response.status, json.loads(raw) if raw else None


def test_it_refuses_to_listen_beyond_loopback_without_tokens(tmp_path: Path) -> None:
    """Exit 4, and the next step is said."""
    store = f"sqlite:///{tmp_path / 's.db'}"
    done = goldseam("serve", "--store", store, "--host", "0.0.0.0", "--port", "0")

    assert 4 == done.returncode
    assert "--new-token" in done.stderr
    assert "" == done.stdout


def test_a_token_is_shown_once_and_its_line_works(store_url: str, tmp_path: Path) -> None:
    """The secret goes to stderr, the line to stdout; the server knows it by its hash."""
    made = goldseam("serve", "--new-token", "ann", "--role", "write")
    secret = made.stderr.split()[-1]
    path = tmp_path / "tokens"
    path.write_text(made.stdout)
    path.chmod(0o600)
    with serve("--store", store_url, "--tokens", str(path)) as port:
        nobody, _ = call(port, "POST", "/v1/streams/a-1", EVENT)
        ann = {"Authorization": f"Bearer {secret}"}
        allowed, answer = call(port, "POST", "/v1/streams/a-1", EVENT, ann)

    assert (401, 201, 1) == (nobody, allowed, answer["position"])
    assert secret not in made.stdout


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Exit 4, and the command that mends it."""
    made = goldseam("serve", "--new-token", "ann")
    path = tmp_path / "tokens"
    path.write_text(made.stdout)
    path.chmod(0o644)
    done = goldseam("serve", "--store", f"sqlite:///{tmp_path / 's.db'}", "--tokens", str(path))

    assert 4 == done.returncode
    assert "chmod 600" in done.stderr


def test_without_its_extra_the_door_says_what_to_install() -> None:
    """`import goldseam` neither needs nor loads it."""
    program = (
        "import sys; sys.modules['fastapi'] = None\n"
        "import goldseam\n"
        "assert not {'goldseam.http', 'starlette', 'uvicorn'} & set(sys.modules)\n"
        "try: import goldseam.http\n"
        "except goldseam.errors.MissingExtra as missing: print(missing)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert "goldseam[http]" in done.stdout


def test_a_store_that_cannot_be_reached_is_exit_3() -> None:
    """So a supervisor can tell it from a wrong command."""
    done = goldseam("serve", "--store", "postgresql://nobody@127.0.0.1:1/none", "--port", "0")

    assert 3 == done.returncode
    assert "cannot be reached" in done.stderr


def test_events_stream_live_and_resume(store_url: str) -> None:
    """Server-Sent Events carry the position; Last-Event-ID resumes after it."""
    with serve("--store", store_url) as port:
        for _ in range(3):
            call(port, "POST", "/v1/streams/a-1", EVENT)
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/v1/follow", headers={"Last-Event-ID": "2"})
        stream = connection.getresponse()
        first = _frame(stream)
        call(port, "POST", "/v1/streams/a-1", EVENT)
        live = _frame(stream)
        connection.close()

    assert ("3", "4") == (first["id"], live["id"])
    assert "text/event-stream" in stream.headers["Content-Type"]
    assert 4 == json.loads(live["data"])["version"]


def test_a_server_that_is_told_to_stop_ends_its_followers(tmp_path: Path) -> None:
    """The endless answer ends as it should, with nothing cut off."""
    with serve("--store", f"sqlite:///{tmp_path / 's.db'}") as port:
        call(port, "POST", "/v1/streams/a-1", EVENT)
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/v1/follow")
        stream = connection.getresponse()
        first = _frame(stream)
    rest = stream.read()  # IncompleteRead if the answer was cut off
    stream.close()
    connection.close()

    assert "1" == first["id"]
    assert b"" == rest


def _frame(stream: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    while True:
        line = stream.readline().decode().rstrip("\n")
        if not line and "id" in fields:
            return fields
        name, _, value = line.partition(": ")
        fields[name] = value


def test_a_client_that_lies_about_its_length_harms_nobody(tmp_path: Path) -> None:
    """Half a body and a cut connection: nothing is stored, the next client is served."""
    with serve("--store", f"sqlite:///{tmp_path / 's.db'}") as port:
        with socket.create_connection(("127.0.0.1", port)) as liar:
            liar.sendall(
                b"POST /v1/streams/a-1 HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n"
                b'{"events": [{"type"'
            )
        status, head = call(port, "GET", "/v1/head")

    assert (200, 0) == (status, head["position"])


def test_without_a_store_it_says_how_to_give_one() -> None:
    """Exit 2, usage."""
    done = goldseam("serve")

    assert 2 == done.returncode
    assert "GOLDSEAM_STORE" in done.stderr
