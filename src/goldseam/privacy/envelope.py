"""Seal one value under its subject's key and open it again: AES-256-GCM, bound to its place.

From the guide, "Step 1: Encrypt PII at Write Time". The nonce is computed from the key, the place
and the value: the retry of an append gives the same bytes, and no two values share a nonce.
"""

from __future__ import annotations

import hmac
from binascii import a2b_base64, b2a_base64
from typing import Any, Final

from goldseam.errors import MissingExtra
from goldseam.privacy.errors import InvalidSubject, SealBroken

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as missing:
    raise MissingExtra("sealing personal data", "privacy") from missing

__all__ = ["AESGCM", "KEY_BYTES", "InvalidTag", "SubjectKey", "checked_subject", "seal", "unseal"]

KEY_BYTES: Final = 32
"""AES-256."""

NONCE_BYTES: Final = 12
"""What GCM is made for."""

TAG_BYTES: Final = 16

SUBJECT_BYTES_MAX: Final = 512
"""A subject's name is stored with each of its values: a name, not a document."""

MARK: Final = "$sealed"
"""The only key of the object that stands in a stored payload for a sealed value."""

_NONCE_LABEL = b"goldseam nonce"


class SubjectKey:
    """A subject's key of one version, ready to seal and open; its ``repr`` shows no key.

    Args:
        version: grows when a forgotten subject is re-admitted.
        key: the 32 bytes.
    """

    __slots__ = ("aead", "nonce_key", "version")

    def __init__(self, version: int, key: bytes) -> None:
        self.version = version
        self.aead = AESGCM(key)
        self.nonce_key = hmac.digest(key, _NONCE_LABEL, "sha256")

    def __repr__(self) -> str:
        return f"SubjectKey(version={self.version})"


def checked_subject(subject: str) -> str:
    """``subject``, if it can name a subject of sealed values.

    Raises:
        InvalidSubject: empty, longer than 512 bytes, with a NUL character, or not Unicode text.
    """
    try:
        size = len(subject.encode())
    except UnicodeEncodeError:
        raise InvalidSubject("it has surrogates, which no database stores") from None
    if not 0 < size <= SUBJECT_BYTES_MAX or "\0" in subject:
        raise InvalidSubject(f"give 1 to {SUBJECT_BYTES_MAX} bytes without NUL characters")
    return subject


def seal(
    key: SubjectKey,
    subject: str,
    event_id: bytes,
    path: str,
    plaintext_json: bytes,
    partial: object = None,
) -> dict[str, Any]:
    """The object to store in place of a value.

    Args:
        key: the subject's newest key.
        subject: whom the value is about; a name that :func:`checked_subject` has passed.
        event_id: the 16 bytes of the event's id.
        path: where the value stands in the event, with dots.
        plaintext_json: the value as JSON.
        partial: what may stay readable for ever, such as the last four digits; None for nothing.
    """
    place = f"{subject}\0{event_id.hex()}\0{path}\0{key.version}".encode()
    nonce = hmac.digest(key.nonce_key, place + b"\0" + plaintext_json, "sha256")[:NONCE_BYTES]
    stored = nonce + key.aead.encrypt(nonce, plaintext_json, place)
    value: dict[str, Any] = {
        "s": subject,
        "k": key.version,
        "c": b2a_base64(stored, newline=False).decode(),
    }
    if partial is not None:
        value["p"] = partial
    return {MARK: value}


def unseal(key: SubjectKey, sealed: dict[str, Any], event_id: bytes, path: str) -> bytes:
    """The JSON of a value; ``sealed`` is what stands under the mark in what :func:`seal` gave.

    Raises:
        SealBroken: it was changed, or sealed for another event, field, subject or key version.
    """
    return unsealed(key, sealed, event_id.hex(), path)


def unsealed(key: SubjectKey, sealed: dict[str, Any], event: str, path: str) -> bytes:
    """As :func:`unseal`, for an event id that is written in hexadecimal already."""
    try:
        data = a2b_base64(sealed["c"])
        place = f"{sealed['s']}\0{event}\0{path}\0{sealed['k']}".encode()
        return key.aead.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place)
    except InvalidTag:
        # From None: the chain would show the frames that hold the value.
        raise SealBroken(path, "it is not what was sealed for this event and field") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SealBroken(path, "it has not the shape of a sealed value") from None
