"""A letter as JSON: without the payload unless it is asked for."""

from __future__ import annotations

import base64
from typing import Any

from goldseam.consumers.dead_letters.letter import Letter

_FIELDS = (
    "id", "state", "consumer", "sequence", "topic", "partition", "offset", "timestamp_ms",
    "event_id", "type", "reason", "error_class", "error", "fingerprint", "attempts",
    "redrive_count", "first_failed_us", "last_failed_us", "resolved_us",
)  # fmt: skip


def plain_letter(letter: Letter, *, details: bool = False, payload: bool = False) -> dict[str, Any]:
    """What may be shown of ``letter``.

    Args:
        details: the stack trace and the names of the headers, too.
        payload: key, value and the headers' values, too: texts, or base64 under ``..._base64``.
    """
    shown: dict[str, Any] = {name: getattr(letter, name) for name in _FIELDS}
    shown["bytes"] = letter.bytes
    if details:
        shown["trace"] = letter.trace
        shown["header_names"] = [name for name, _ in letter.headers]
    if payload:
        shown |= _text("key", letter.key) | _text("value", letter.value)
        shown["headers"] = [{"name": name, **_text("value", v)} for name, v in letter.headers]
    return shown


def _text(name: str, value: bytes | None) -> dict[str, str | None]:
    if value is None:
        return {name: None}
    try:
        return {name: value.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode("ascii")}
