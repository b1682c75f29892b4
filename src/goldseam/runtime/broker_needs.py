"""What an application's consumers ask of the broker's retention: their lag and their memory."""

from __future__ import annotations

import msgspec

from goldseam.broker.port import Admin
from goldseam.consumers.lag import measure
from goldseam.consumers.promises import remembered_by, retention_seconds
from goldseam.consumers.workshop import make_tables
from goldseam.governance.broker_check import Needs
from goldseam.runtime.application import Goldseam


async def needs_of(application: Goldseam, admin: Admin, needs: Needs) -> Needs:
    """``needs`` with the topics, the slowest lag and the shortest memory of its consumers.

    What ``needs`` says already stays: its topics, and a longer lag or a shorter memory.

    Raises:
        BrokerUnreachable, StoreUnavailable: try again.
    """
    known = await admin.topics()
    lags, memories = [needs.lag_seconds], [needs.dedup_seconds]
    async with application.running(parts=()) as opened:
        for one in opened.consumers:
            there = [name for name in one.topics if name in known]
            if len(there) == len(one.topics):
                target = opened.target(one.name)
                await target.transact(lambda c: make_tables(c, opened.clock))
                lag = await measure(one, admin, target, opened.clock)
                lags.append(lag.seconds)
            how = remembered_by(one)
            if how is not None and how.retention_seconds is not None:
                memories.append(how.retention_seconds)
            elif how is not None:
                memories.append(retention_seconds(one, known))
    named = sorted({topic for one in application.consumers for topic in one.topics})
    return msgspec.structs.replace(
        needs,
        topics=needs.topics or named,
        lag_seconds=max(lags),
        dedup_seconds=min((one for one in memories if one is not None), default=None),
    )
