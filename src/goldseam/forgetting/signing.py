"""The key that signs certificates: Ed25519, in a file that only its owner can read."""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from pathlib import Path

from goldseam.errors import MissingExtra
from goldseam.forgetting.errors import CertificateInvalid, SigningKeyUnusable

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
except ImportError as missing:
    raise MissingExtra("signing a certificate", "privacy") from missing

KEY_BYTES = 32

_OTHERS = 0o077
_FILE_MODE = 0o600


class Signer:
    """Signs with one key; its ``repr`` shows the public one only."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = b64encode(key.public_key().public_bytes_raw()).decode()

    def __repr__(self) -> str:
        return f"Signer({self.public_key!r})"

    def sign(self, data: bytes) -> str:
        """The signature of ``data``, as base64."""
        return b64encode(self._key.sign(data)).decode()


def open_signer(path: Path) -> Signer:
    """The signer of the key in ``path``, which is made if the file is missing.

    Raises:
        SigningKeyUnusable: others can read the file, or it holds no key.
    """
    if not path.exists():
        _make(path)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) or mode & _OTHERS:
        raise SigningKeyUnusable("others can read its file", f"chmod 600 {path}, or make a new one")
    try:
        key = b64decode(path.read_bytes().strip(), validate=True)
        return Signer(Ed25519PrivateKey.from_private_bytes(key))
    except (NotBase64, ValueError):
        reason = f"it is not {KEY_BYTES} bytes in base64"
        raise SigningKeyUnusable(reason, "name another file, or a new one") from None


def _make(path: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, _FILE_MODE), "wb") as file:
        file.write(b64encode(Ed25519PrivateKey.generate().private_bytes_raw()) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def check_signature(public_key: str, signature: str, data: bytes) -> None:
    """Whether ``signature`` is that of ``data`` by the owner of ``public_key``.

    Raises:
        CertificateInvalid: it is not.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(b64decode(public_key, validate=True))
        key.verify(b64decode(signature, validate=True), data)
    except (InvalidSignature, NotBase64, ValueError):
        raise CertificateInvalid("it is not what was signed") from None
