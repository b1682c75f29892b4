"""What a leader is told when it is one no longer."""

from __future__ import annotations

from goldseam.errors import Rejected


class LeaseLost(Rejected):
    """Somebody else leads by now; nothing was written. From the guide, "Fencing Tokens"."""

    failure = "cluster/fencing-tokens"
