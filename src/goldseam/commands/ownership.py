"""The seam for the single-writer principle: who owns a stream while a command is handled.

From the guide, "Write-Side Scaling: Single Writer Principle". The default owns nothing and relies
on optimistic locking; a later owner routes hot aggregates to one node and gives its fence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from goldseam.leadership.fencing import Fence


class Owner(Protocol):
    """Makes this node the writer of a stream while the block runs."""

    def of(self, stream: str) -> AbstractAsyncContextManager[Fence | None]:
        """Enter as the stream's writer; the fence goes into the append."""
        ...


class Nobody:
    """Every node may write every stream; the version check decides."""

    @asynccontextmanager
    async def of(self, stream: str) -> AsyncIterator[Fence | None]:
        """No lease, no fence."""
        yield None


NOBODY = Nobody()
