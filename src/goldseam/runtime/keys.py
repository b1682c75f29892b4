"""From two URLs to a vault: where the keys of personal data are, and who wraps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from goldseam.resilience.clock import Clock, SystemClock
from goldseam.runtime.settings import key_provider_token
from goldseam.runtime.wiring import open_database

if TYPE_CHECKING:
    from goldseam.privacy.vault import Vault


async def open_vault(
    keys: str,
    provider: str,
    *,
    token: str | None = None,
    apply: bool = True,
    clock: Clock | None = None,
) -> Vault:
    """Open the keys of personal data.

    Args:
        keys: the key store, a database of its own: ``sqlite:///keys.db``, ``postgresql://...``.
            Keep it apart from the events, and its backups too.
        provider: who keeps the epoch keys, outside any database: ``file:///folder``,
            ``vault+https://host:8200/transit``, ``awskms://region/prefix``.
        token: for Vault and OpenBao; else ``GOLDSEAM_KEY_PROVIDER_TOKEN``.
        apply: create or upgrade the key store's tables first.

    Raises:
        MissingExtra: the extra ``privacy`` (or ``vault``, ``aws-kms``) is not installed.
        InvalidName: a URL that is not understood.
        KeyStoreUnavailable: the key store cannot be reached.
    """
    from goldseam.privacy.providers import open_provider
    from goldseam.privacy.vault import Vault

    clock = clock or SystemClock()
    wrapper = open_provider(provider, clock, token=token or key_provider_token())
    vault = Vault(open_database(keys), wrapper, clock)
    try:
        await vault.prepare(apply=apply)
    except BaseException:
        await vault.close()
        raise
    return vault
