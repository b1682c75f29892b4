"""Key providers: where the epoch keys live that wrap the keys of all subjects.

A key of a subject is only as gone as every copy of what wrapped it; so what wraps it lives outside
any database, and forgetting destroys it there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from goldseam.errors import InvalidName
from goldseam.privacy.providers.local_file import LocalFile
from goldseam.privacy.providers.provider import KeyProvider
from goldseam.resilience.clock import Clock

__all__ = ["KeyProvider", "open_provider"]

_KNOWN = "file:///folder, vault+https://host:8200/transit, awskms://region/prefix"


def open_provider(
    url: str,
    clock: Clock,
    *,
    token: str | None = None,
    new_bytes: Callable[[int], bytes] = os.urandom,
) -> KeyProvider:
    """The provider behind ``url``; it is reached when it is first used.

    ``file:///folder`` keeps the keys in files of their owner, ``vault+https://host:port/mount``
    (or ``vault+http``) in the transit engine of HashiCorp Vault or OpenBao,
    ``awskms://region/prefix`` in AWS KMS.

    Args:
        token: for Vault and OpenBao; never part of the URL.
        new_bytes: random bytes of the wanted length.

    Raises:
        InvalidName: no provider for the URL, or a password in it.
        MissingExtra: the provider's client is not installed.
    """
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise InvalidName(
            "key provider URL", f"{parts.scheme}://...", "credentials do not belong in it"
        )
    return _opened(parts, clock, token, new_bytes)


def _opened(
    parts: SplitResult, clock: Clock, token: str | None, new_bytes: Callable[[int], bytes]
) -> KeyProvider:
    if parts.scheme == "file" and not parts.netloc and parts.path.strip("/"):
        return LocalFile(parts.path, clock, new_bytes=new_bytes)
    if parts.scheme in ("vault+http", "vault+https") and parts.netloc:
        from goldseam.privacy.providers.transit import Transit

        address = f"{parts.scheme.removeprefix('vault+')}://{parts.netloc}"
        return Transit(address, parts.path.strip("/") or "transit", token, clock, new_bytes)
    if parts.scheme == "awskms" and parts.netloc:
        from goldseam.privacy.providers.aws_kms import AwsKms

        return AwsKms(parts.netloc, parts.path.strip("/") or "goldseam", clock, new_bytes)
    raise InvalidName("key provider URL", f"{parts.scheme}://...", f"known are: {_KNOWN}")
