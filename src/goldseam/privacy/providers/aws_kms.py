"""Epoch keys in AWS: a KMS key per epoch, and the epoch's wrapped key in Parameter Store.

A KMS key cannot be deleted at once, only scheduled (7 days at least), and that can be taken back.
So the wrapped form lives in one place that can be deleted at once, outside the key store.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from goldseam.errors import MissingExtra
from goldseam.privacy.errors import KeyProviderRefused, KeyStoreUnavailable
from goldseam.privacy.providers.provider import EnvelopeProvider, Epoch, EpochGone
from goldseam.resilience.clock import Clock

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError as missing:
    raise MissingExtra("awskms://", "aws-kms") from missing

T = TypeVar("T")

DELETION_DAYS = 7
"""The shortest time after which KMS deletes a key; it is disabled at once."""

TIMEOUT_SECONDS = 5
REQUEST_TRIES_MAX = 3

_TRANSIENT = ("Throttling", "ThrottlingException", "TooManyRequests", "KMSInternalException")


class AwsKms(EnvelopeProvider):
    """KMS and Systems Manager Parameter Store of one region, with boto3's own credentials.

    Args:
        region: such as ``eu-central-1``.
        prefix: the epochs' wrapped keys are the parameters ``/<prefix>/<epoch id>``.
    """

    def __init__(
        self, region: str, prefix: str, clock: Clock, new_bytes: Callable[[int], bytes]
    ) -> None:
        super().__init__("awskms", clock, new_bytes)
        self._region, self._prefix = region, prefix
        self._clients: tuple[Any, Any] | None = None

    async def create_epoch(self, epoch: str) -> str:
        """Make the KMS key, and have it make the epoch's key, unless they are there."""
        await self._run(self._create, epoch)
        return ""

    async def fetch(self, epoch: Epoch) -> bytes:
        """Have KMS unwrap the epoch's key."""
        return await self._run(self._unwrap, epoch.id)

    async def destroy(self, epoch: Epoch) -> None:
        """Delete the parameter, disable the KMS key and schedule its deletion."""
        await self._run(self._destroy, epoch.id)

    async def exists(self, epoch: Epoch) -> bool:
        """Whether the epoch's wrapped key or its KMS key can still be found."""
        return await self._run(self._found, epoch.id)

    async def _run(self, work: Callable[[str], T], epoch: str) -> T:
        try:
            return await asyncio.to_thread(work, epoch)
        except ClientError as error:
            code = _code(error)
            if code in _TRANSIENT:
                raise KeyStoreUnavailable(f"the key provider {self.name}: {code}") from None
            raise KeyProviderRefused(
                self.name, code, "check the role's rights on KMS and Parameter Store"
            ) from None
        except BotoCoreError as error:
            raise KeyStoreUnavailable(
                f"the key provider {self.name}: {type(error).__name__}"
            ) from None

    @property
    def _kms(self) -> Any:
        return self._both()[0]

    @property
    def _parameters(self) -> Any:
        return self._both()[1]

    def _both(self) -> tuple[Any, Any]:
        if self._clients is None:
            config = Config(
                region_name=self._region,
                connect_timeout=TIMEOUT_SECONDS,
                read_timeout=TIMEOUT_SECONDS,
                retries={"total_max_attempts": REQUEST_TRIES_MAX},
            )
            session = boto3.session.Session()
            self._clients = (
                session.client("kms", config=config),
                session.client("ssm", config=config),
            )
        return self._clients

    def _create(self, epoch: str) -> None:
        if self._parameter(epoch) is not None:
            return
        if self._key(epoch) is None:
            made = self._kms.create_key(Description="wraps one epoch key of goldseam")
            key = made["KeyMetadata"]["KeyId"]
            try:
                self._kms.create_alias(AliasName=_alias(epoch), TargetKeyId=key)
            except self._kms.exceptions.AlreadyExistsException:  # another process was first
                self._kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=DELETION_DAYS)
        wrapped = self._kms.generate_data_key_without_plaintext(
            KeyId=_alias(epoch), KeySpec="AES_256", EncryptionContext={"epoch": epoch}
        )["CiphertextBlob"]
        with suppress(self._parameters.exceptions.ParameterAlreadyExists):
            self._parameters.put_parameter(
                Name=self._name(epoch),
                Value=b64encode(wrapped).decode(),
                Type="String",
                Overwrite=False,
            )

    def _unwrap(self, epoch: str) -> bytes:
        wrapped = self._parameter(epoch)
        key = self._key(epoch)
        if wrapped is None or key is None:
            raise EpochGone
        answer = self._kms.decrypt(
            CiphertextBlob=b64decode(wrapped), KeyId=key, EncryptionContext={"epoch": epoch}
        )
        return bytes(answer["Plaintext"])

    def _destroy(self, epoch: str) -> None:
        with suppress(self._parameters.exceptions.ParameterNotFound):
            self._parameters.delete_parameter(Name=self._name(epoch))
        key = self._key(epoch)
        if key is None:
            return
        # Either may have been done by a call that died in between.
        with suppress(self._kms.exceptions.KMSInvalidStateException):
            self._kms.disable_key(KeyId=key)
        with suppress(self._kms.exceptions.KMSInvalidStateException):
            self._kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=DELETION_DAYS)
        # Last: while it is there, an interrupted destruction finds the key again.
        self._kms.delete_alias(AliasName=_alias(epoch))

    def _found(self, epoch: str) -> bool:
        return self._parameter(epoch) is not None or self._key(epoch) is not None

    def _parameter(self, epoch: str) -> str | None:
        try:
            found = self._parameters.get_parameter(Name=self._name(epoch))
        except self._parameters.exceptions.ParameterNotFound:
            return None
        return str(found["Parameter"]["Value"])

    def _key(self, epoch: str) -> str | None:
        try:
            found = self._kms.describe_key(KeyId=_alias(epoch))
        except self._kms.exceptions.NotFoundException:
            return None
        return str(found["KeyMetadata"]["KeyId"])

    def _name(self, epoch: str) -> str:
        return f"/{self._prefix}/{epoch}"


def _alias(epoch: str) -> str:
    return f"alias/{epoch}"


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "ClientError"))
