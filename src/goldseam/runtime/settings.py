"""The only reader of the environment."""

from __future__ import annotations

import os

STORE_VARIABLE = "GOLDSEAM_STORE"
BROKER_VARIABLE = "GOLDSEAM_BROKER"
TOKENS_VARIABLE = "GOLDSEAM_TOKENS"
KEYS_VARIABLE = "GOLDSEAM_KEYS"
KEY_PROVIDER_VARIABLE = "GOLDSEAM_KEY_PROVIDER"
PROVIDER_VARIABLE = "GOLDSEAM_KEY_PROVIDER_TOKEN"


def store_url(given: str | None = None) -> str | None:
    """The store's URL: what was given, else ``GOLDSEAM_STORE``."""
    return given or os.environ.get(STORE_VARIABLE) or None


def broker_url(given: str | None = None) -> str | None:
    """The broker's URL: what was given, else ``GOLDSEAM_BROKER``."""
    return given or os.environ.get(BROKER_VARIABLE) or None


def tokens_file(given: str | None = None) -> str | None:
    """The file of bearer tokens: what was given, else ``GOLDSEAM_TOKENS``."""
    return given or os.environ.get(TOKENS_VARIABLE) or None


def keys_url(given: str | None = None) -> str | None:
    """The key store's URL: what was given, else ``GOLDSEAM_KEYS``."""
    return given or os.environ.get(KEYS_VARIABLE) or None


def key_provider_url(given: str | None = None) -> str | None:
    """The key provider's URL: what was given, else ``GOLDSEAM_KEY_PROVIDER``."""
    return given or os.environ.get(KEY_PROVIDER_VARIABLE) or None


def key_provider_token() -> str | None:
    """The token for Vault or OpenBao: ``GOLDSEAM_KEY_PROVIDER_TOKEN``; never an argument."""
    return os.environ.get(PROVIDER_VARIABLE) or None
