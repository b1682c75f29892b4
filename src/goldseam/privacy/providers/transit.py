"""Epoch keys in the transit engine of HashiCorp Vault or OpenBao: one transit key per epoch.

The epoch's key is made by the server and kept only wrapped, beside the epoch's id; deleting the
transit key turns it, and every backup of it, into noise.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable
from typing import Any, TypeVar

from goldseam.errors import MissingExtra
from goldseam.privacy.errors import KeyProviderRefused, KeyStoreUnavailable
from goldseam.privacy.providers.provider import EnvelopeProvider, Epoch, EpochGone
from goldseam.resilience.clock import Clock

try:
    import hvac
    from hvac import exceptions as answers
    from requests import RequestException
except ImportError as missing:
    raise MissingExtra("vault+http(s)://", "vault") from missing

T = TypeVar("T")

TIMEOUT_SECONDS = 5
"""How long one request to the server may take."""

_KEY_BITS = 256


class Transit(EnvelopeProvider):
    """The transit engine at ``mount`` of the server at ``address``.

    The token needs create, read, update and delete on ``<mount>/keys/goldseam-epoch-*``, and update
    on its ``/config``, on ``<mount>/datakey/wrapped/*`` and ``<mount>/decrypt/*``.

    Args:
        address: ``https://host:port``.
        token: never shown; None for a server that needs none.
    """

    def __init__(
        self,
        address: str,
        mount: str,
        token: str | None,
        clock: Clock,
        new_bytes: Callable[[int], bytes],
    ) -> None:
        super().__init__("vault", clock, new_bytes)
        self._mount = mount
        self._client: Any = hvac.Client(url=address, token=token, timeout=TIMEOUT_SECONDS)
        # One thread at a time: a requests session is not made for more.
        self._turn = asyncio.Lock()

    async def create_epoch(self, epoch: str) -> str:
        """Make the transit key, and have it make and wrap the epoch's key."""
        return await self._run(self._create, epoch)

    async def fetch(self, epoch: Epoch) -> bytes:
        """Have the server unwrap the epoch's key."""
        return await self._run(self._unwrap, epoch)

    async def destroy(self, epoch: Epoch) -> None:
        """Delete the transit key, all its versions."""
        await self._run(self._delete, epoch.id)

    async def exists(self, epoch: Epoch) -> bool:
        """Whether the server has the transit key."""
        return await self._run(self._found, epoch.id)

    async def _run(self, work: Callable[[Any], T], of: object) -> T:
        async with self._turn:
            try:
                return await asyncio.to_thread(work, of)
            except (RequestException, answers.VaultDown, answers.InternalServerError) as error:
                raise self._unavailable(error) from None
            except (answers.RateLimitExceeded, answers.BadGateway) as error:
                raise self._unavailable(error) from None
            except answers.VaultError as error:
                # From None: an answer's text can repeat the request.
                raise KeyProviderRefused(
                    self.name,
                    type(error).__name__,
                    "check the token and its policy for the transit engine",
                ) from None

    def _unavailable(self, error: Exception) -> KeyStoreUnavailable:
        return KeyStoreUnavailable(f"the key provider {self.name}: {type(error).__name__}")

    @property
    def _transit(self) -> Any:
        return self._client.secrets.transit

    def _create(self, epoch: str) -> str:
        self._transit.create_key(name=epoch, mount_point=self._mount)
        self._transit.update_key_configuration(
            name=epoch, deletion_allowed=True, mount_point=self._mount
        )
        made = self._transit.generate_data_key(
            name=epoch, key_type="wrapped", bits=_KEY_BITS, mount_point=self._mount
        )
        return str(made["data"]["ciphertext"])

    def _unwrap(self, epoch: Epoch) -> bytes:
        try:
            found = self._transit.decrypt_data(
                name=epoch.id, ciphertext=epoch.material, mount_point=self._mount
            )
        except (answers.InvalidPath, answers.InvalidRequest):
            if self._found(epoch.id):
                raise
            raise EpochGone from None
        return b64decode(found["data"]["plaintext"])

    def _delete(self, epoch: str) -> None:
        try:
            self._transit.delete_key(name=epoch, mount_point=self._mount)
        except (answers.InvalidPath, answers.InvalidRequest):
            if self._found(epoch):
                raise

    def _found(self, epoch: str) -> bool:
        try:
            self._transit.read_key(name=epoch, mount_point=self._mount)
        except answers.InvalidPath:
            return False
        return True
