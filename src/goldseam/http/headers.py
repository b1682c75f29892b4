"""Headers of the contract, parsed once: preconditions, idempotency, fences, preferences."""

from __future__ import annotations

import re

from goldseam.events.names import KEY_LENGTH_MAX
from goldseam.http.problems import Refusal
from goldseam.leadership.fencing import Fence
from goldseam.store.expected import ANY, EXISTS, NEW, ExpectedVersion

WAIT_SECONDS_MAX = 30.0
"""Longest ``Prefer: wait``."""

_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')
_KEY = re.compile(rf'"([!#-~]{{1,{KEY_LENGTH_MAX}}})"|([!#-+\--~]{{1,{KEY_LENGTH_MAX}}})')
_FENCE = re.compile(r"([!-<>-~]{1,255})=(\d{1,18})")
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*(\d{1,6}(?:\.\d{1,3})?)\s*(?:$|[,;])")
_WORDS: dict[str, ExpectedVersion] = {"any": ANY, "exists": EXISTS, "new": NEW}


def expected_version(
    if_match: str | None, if_none_match: str | None, expected: int | str | None
) -> ExpectedVersion:
    """What the writer expects, from the headers or the body.

    Raises:
        Refusal: 428 when nothing is said, 400 when it is said twice or badly.
    """
    said = [one for one in (if_match, if_none_match, expected) if one is not None]
    if not said:
        detail = (
            'say which version the stream must have: If-Match: "3", If-Match: *, '
            'If-None-Match: *, or "expected": "any" in the body'
        )
        raise Refusal(428, "precondition-required", detail)
    if len(said) > 1:
        raise Refusal(400, "invalid-input", "the expected version is said in more than one way")
    if expected is not None:
        return expected if isinstance(expected, int) else _WORDS[expected]
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise Refusal(400, "invalid-input", "If-None-Match must be * on a write")
        return NEW
    assert if_match is not None
    if if_match.strip() == "*":
        return EXISTS
    return version_of(if_match)


def version_of(etag: str) -> int:
    """The version in an ETag like ``"3"``.

    Raises:
        Refusal: 400, it is none.
    """
    match = _ETAG.fullmatch(etag.strip())
    if match is None:
        raise Refusal(400, "invalid-input", 'If-Match must be * or a version like "3"')
    return int(match[1])


def names_version(if_none_match: str | None, version: int) -> bool:
    """Whether the reader has this version already: a list of ETags, weak ones too, or ``*``."""
    named = (part.strip().removeprefix("W/") for part in (if_none_match or "").split(","))
    return any(part in ("*", etag(version)) for part in named)


def etag(version: int) -> str:
    """A version as an ETag."""
    return f'"{version}"'


def idempotency_key(header: str | None) -> str | None:
    """The key: a quoted string as the standard says, or a bare token as many write it.

    Raises:
        Refusal: 400, it is neither.
    """
    if header is None:
        return None
    match = _KEY.fullmatch(header.strip())
    if match is None:
        detail = f"Idempotency-Key must be 1 to {KEY_LENGTH_MAX} visible characters, best quoted"
        raise Refusal(400, "invalid-input", detail)
    return match[1] or match[2]


def fence(header: str | None) -> Fence | None:
    """``Goldseam-Fence: name=token``.

    Raises:
        Refusal: 400, it is written otherwise.
    """
    if header is None:
        return None
    match = _FENCE.fullmatch(header.strip())
    if match is None:
        raise Refusal(400, "invalid-input", "Goldseam-Fence must be name=token, token a number")
    return Fence(match[1], int(match[2]))


def wait_seconds(prefer: str | None) -> float:
    """``Prefer: wait=N`` in seconds, at most 30; 0 without it. Other preferences are ignored."""
    match = _WAIT.search(prefer or "")
    return min(float(match[1]), WAIT_SECONDS_MAX) if match else 0.0
