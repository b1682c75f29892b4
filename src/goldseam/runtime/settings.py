"""The only reader of the environment."""

from __future__ import annotations

import os

STORE_VARIABLE = "GOLDSEAM_STORE"
TOKENS_VARIABLE = "GOLDSEAM_TOKENS"


def store_url(given: str | None = None) -> str | None:
    """The store's URL: what was given, else ``GOLDSEAM_STORE``."""
    return given or os.environ.get(STORE_VARIABLE) or None


def tokens_file(given: str | None = None) -> str | None:
    """The file of bearer tokens: what was given, else ``GOLDSEAM_TOKENS``."""
    return given or os.environ.get(TOKENS_VARIABLE) or None
