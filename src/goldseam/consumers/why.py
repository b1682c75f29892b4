"""Why a record became a dead letter, in the words of its headers, without any value of it."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from goldseam.broker.cloudevents import NotAnEvent
from goldseam.errors import Corrupt, InvalidName, UnknownEventType, UnreadableEvent
from goldseam.events.event import Recorded

ERROR_LENGTH_MAX = 300
TRACE_BYTES_MAX = 8_192

Reason = Literal["poison", "schema", "retries-exhausted", "fenced", "queued"]

_SCHEMA = (NotAnEvent, UnknownEventType, UnreadableEvent, InvalidName, Corrupt)
_MAY_PASS = (OSError, TimeoutError)
_HIDDEN = "[...]"
_HIDE_FROM_LENGTH = 2


def reason_of(error: BaseException | None) -> Reason:
    """The one word for ``error``.

    ``queued`` behind another, ``schema`` when it cannot be read, ``retries-exhausted`` when what
    the handler needed did not answer, else ``poison``.
    """
    if error is None:
        return "queued"
    if isinstance(error, _SCHEMA):
        return "schema"
    return "retries-exhausted" if isinstance(error, _MAY_PASS) else "poison"


def described(error: BaseException, events: Sequence[Recorded[Any]]) -> str:
    """The error's first line, without any value of the events: letters are read by many."""
    return without_values_of(error, [event.data for event in events])


def without_values_of(error: BaseException, said: Sequence[object]) -> str:
    """The error's first line, without any value that is in ``said``."""
    text = (str(error).strip().splitlines() or [""])[0]
    try:
        fields = [msgspec.to_builtins(one) for one in said]
    except Exception:  # what cannot be taken apart cannot be searched for: say no text at all
        return ""
    values = {value for value in _leaves(fields) if len(value) >= _HIDE_FROM_LENGTH}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, _HIDDEN)
    return text[:ERROR_LENGTH_MAX]


def trace_of(error: BaseException) -> str:
    """Where it was raised: files, lines and code, the innermost last, no values."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return frames.encode()[-TRACE_BYTES_MAX:].decode("utf-8", "ignore")


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in _leaves(one)]
    if isinstance(value, list | tuple | set):
        return [leaf for one in value for leaf in _leaves(one)]
    return [] if value is None or isinstance(value, bool) else [str(value)]
