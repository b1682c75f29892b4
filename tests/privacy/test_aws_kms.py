"""The AWS provider against moto, which imitates KMS in this process.

moto goes on decrypting with a key that is scheduled for deletion; AWS refuses. So these tests show
which calls are made and in which order, and that without the parameter nothing opens; they cannot
show that AWS destroys a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from goldseam.privacy.providers import KeyProvider, open_provider
from goldseam.privacy.providers.provider import BoundKey, Epoch, EpochGone, WrappedKey
from tests.conftest import MISSING
from tests.privacy.keyring import HandClock

KEY = bytes(range(32))
EPOCH = Epoch("goldseam-epoch-1")
REGION = "eu-central-1"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    moto = pytest.importorskip("moto", reason=f"{MISSING}moto; run: pip install 'moto[kms,ssm]'")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with moto.mock_aws():
        yield


def opened() -> KeyProvider:
    return open_provider(f"awskms://{REGION}/shop", HandClock())


def client(name: str) -> Any:
    import boto3

    return boto3.client(name, region_name=REGION)


async def wrapped() -> WrappedKey:
    provider = opened()
    assert "" == await provider.create_epoch(EPOCH.id)
    return WrappedKey(b"a", (await provider.wrap(EPOCH, [BoundKey(b"a", KEY)]))[0])


@pytest.mark.usefixtures("aws")
async def test_wrap_and_unwrap_with_a_key_that_kms_made() -> None:
    """Another process unwraps; making the epoch again keeps its key."""
    closed = await wrapped()
    await opened().create_epoch(EPOCH.id)
    assert [KEY] == await opened().unwrap(EPOCH, [closed])
    assert await opened().exists(EPOCH)


@pytest.mark.usefixtures("aws")
async def test_destroying_deletes_the_parameter_and_disables_the_key() -> None:
    """At once: the wrapped key gone, the KMS key unusable and on its way out."""
    closed = await wrapped()
    key = client("kms").describe_key(KeyId=f"alias/{EPOCH.id}")["KeyMetadata"]["KeyId"]
    await opened().destroy_epoch(EPOCH)
    await opened().destroy_epoch(EPOCH)
    assert not await opened().exists(EPOCH)
    with pytest.raises(EpochGone):
        await opened().unwrap(EPOCH, [closed])
    assert "PendingDeletion" == client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    assert [] == client("ssm").get_parameters_by_path(Path="/shop")["Parameters"]


@pytest.mark.usefixtures("aws")
async def test_the_wrapped_key_is_bound_to_its_epoch() -> None:
    """Under another epoch's name KMS itself refuses it."""
    await wrapped()
    key = client("kms").describe_key(KeyId=f"alias/{EPOCH.id}")["KeyMetadata"]["KeyId"]
    stored = client("ssm").get_parameter(Name=f"/shop/{EPOCH.id}")["Parameter"]["Value"]
    from base64 import b64decode

    with pytest.raises(client("kms").exceptions.InvalidCiphertextException):
        client("kms").decrypt(
            KeyId=key, CiphertextBlob=b64decode(stored), EncryptionContext={"epoch": "another"}
        )


@pytest.mark.usefixtures("aws")
async def test_a_destruction_that_died_half_way_is_finished_by_the_next() -> None:
    """The alias goes last, so the key is still found."""
    await wrapped()
    client("ssm").delete_parameter(Name=f"/shop/{EPOCH.id}")
    assert await opened().exists(EPOCH)
    await opened().destroy_epoch(EPOCH)
    assert not await opened().exists(EPOCH)
