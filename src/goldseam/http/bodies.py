"""The bodies of requests and answers, as OpenAPI shows them."""

# No "from __future__ import annotations": pydantic reads these annotations when the class is made.

import re
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from goldseam.errors import InvalidEvent, UnknownEventType
from goldseam.events.event import Metadata, NewEvent, Recorded
from goldseam.events.names import NAME_LENGTH_MAX
from goldseam.events.registry import TYPE_VERSION_MAX, Registry, Untyped

TRACEPARENT = r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
"""W3C trace context."""

_QUOTED_VALUE = re.compile(r"value ('.*'|-?\d+)", re.DOTALL)

EVENTS_MAX = 1_000
"""Most events of one request."""


Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH_MAX)]
ShortText = Annotated[str, Field(max_length=1_000)]
Version = Annotated[int, Field(ge=0, le=2**53)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class MetadataBody(_Strict):
    """Who and what caused an event; never personal data."""

    correlation: ShortText | None = None
    causation: ShortText | None = None
    actor: ShortText | None = None
    traceparent: Annotated[str | None, Field(pattern=TRACEPARENT)] = None
    extra: Annotated[dict[ShortText, ShortText], Field(max_length=50)] = {}


class EventBody(_Strict):
    """One event to append."""

    type: Name
    version: Annotated[int, Field(ge=1, le=TYPE_VERSION_MAX)] = 1
    data: dict[str, Any]
    id: Annotated[UUID, Field(strict=False)] | None = None
    metadata: MetadataBody | None = None


class AppendBody(_Strict):
    """Events for the stream in the path."""

    events: Annotated[list[EventBody], Field(min_length=1, max_length=EVENTS_MAX)]
    expected: Version | Literal["any", "exists", "new"] | None = None


class StreamAppendBody(_Strict):
    """Events for one of several streams."""

    stream: Name
    expected: Version | Literal["any", "exists", "new"]
    events: Annotated[list[EventBody], Field(min_length=1, max_length=EVENTS_MAX)]


class AppendAllBody(_Strict):
    """Events for several streams: all are stored, or none."""

    streams: Annotated[list[StreamAppendBody], Field(min_length=1, max_length=100)]


class AppendedBody(BaseModel):
    """Where a write stands: read with ``?after=`` this position or token."""

    position: int
    first_position: int
    token: str
    versions: dict[str, int]
    version: int
    replayed: bool


class Problem(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


class RecordedBody(BaseModel):
    """An event as the log keeps it."""

    position: int
    stream: str
    version: int
    type: str
    type_version: int
    id: UUID
    recorded_at: str
    data: dict[str, Any]
    metadata: dict[str, Any]


class PageBody(BaseModel):
    """One page of events; ``next`` is the path of the following one, null at the end."""

    events: list[RecordedBody]
    next: str | None


def new_event(body: EventBody, registry: Registry, traceparent: str | None = None) -> NewEvent:
    """The event to append: typed if its class is known, else as it is where that is allowed.

    ``traceparent`` is the request's trace, kept where the event has none of its own.

    Raises:
        UnknownEventType: nobody registered it and the registry is closed.
        InvalidEvent: it does not fit its class.
    """
    said = {} if body.metadata is None else body.metadata.model_dump()
    said["traceparent"] = said.get("traceparent") or traceparent
    metadata = Metadata(**said) if any(said.values()) else None
    return NewEvent(_typed(body, registry), id=body.id, metadata=metadata)


def _typed(body: EventBody, registry: Registry) -> object:
    known = registry.by_name.get((body.type, body.version))
    if known is None or known.kind is Untyped:
        if not registry.open_to_unknown:
            raise UnknownEventType(body.type, body.version)
        return Untyped(body.type, body.version, body.data)
    try:
        return known.decode(msgspec.json.encode(body.data))
    except (msgspec.ValidationError, ValueError) as error:
        why = (
            _without_value(str(error))
            if isinstance(error, msgspec.ValidationError)
            else "it is not valid"
        )
        raise InvalidEvent(body.type, why) from None


def _without_value(message: str) -> str:
    """What msgspec says, without the value it quotes: payloads stay out of answers and logs."""
    return _QUOTED_VALUE.sub("value", message)


def shown(event: Recorded[Any]) -> dict[str, Any]:
    """An event as a JSON object."""
    data = event.data
    fields = data.payload if isinstance(data, Untyped) else data
    return {
        "position": event.position,
        "stream": event.stream,
        "version": event.version,
        "type": event.type,
        "type_version": event.type_version,
        "id": str(event.id),
        "recorded_at": event.recorded_at.isoformat(),
        "data": _builtin(fields),
        "metadata": msgspec.to_builtins(event.metadata),
    }


def _builtin(fields: object) -> object:
    if isinstance(fields, msgspec.Raw):
        return fields
    if isinstance(fields, BaseModel):
        return fields.model_dump(mode="json")
    return msgspec.to_builtins(fields)
