"""Events as CloudEvents 1.0 in their JSON format, for readers that ask for it."""

from __future__ import annotations

from typing import Any

from goldseam.broker.cloudevents import SEQUENCE_DIGITS
from goldseam.events.event import Recorded
from goldseam.http.bodies import shown

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def cloud_event(event: Recorded[Any], source: str) -> dict[str, Any]:
    """``event`` with the attributes of CloudEvents 1.0; ``source`` and ``id`` name it for ever.

    ``subject`` is the stream, ``sequence`` the position, ``streamversion`` the version; causation
    and correlation are those of the registered extensions.
    """
    plain = shown(event)
    metadata = event.metadata
    optional = {
        "traceparent": metadata.traceparent,
        "correlationid": metadata.correlation,
        "causationid": metadata.causation,
        "actor": metadata.actor,
    }
    return {
        "specversion": "1.0",
        "id": plain["id"],
        "source": source,
        "type": event.type,
        "subject": event.stream,
        "time": plain["recorded_at"],
        "recordedtime": plain["recorded_at"],
        "datacontenttype": "application/json",
        "dataschema": f"{source}/schemas/{event.type}/{event.type_version}",
        "partitionkey": event.stream,
        "sequence": str(event.position).zfill(SEQUENCE_DIGITS),
        "streamversion": event.version,
        "tenant": event.tenant,
        **{name: value for name, value in optional.items() if value is not None},
        "data": plain["data"],
    }


def wants(accept: str | None, media_type: str) -> bool:
    """Whether the Accept header names ``media_type``."""
    named = (part.split(";")[0].strip().lower() for part in (accept or "").split(","))
    return media_type in named
