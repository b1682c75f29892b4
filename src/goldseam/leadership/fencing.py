"""Fencing tokens: every write may carry one, and the store refuses a stale one."""

from __future__ import annotations

import msgspec


class Fence(msgspec.Struct, frozen=True):
    """A fencing token: what is fenced, and the monotonic number its lease gave.

    The store compares it inside the append's own transaction: a token lower than the highest
    one it has accepted for ``name`` is refused. From the guide, "Split Brain: Fencing Tokens".
    """

    name: str
    token: int
