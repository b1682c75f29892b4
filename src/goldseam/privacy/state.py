"""Snapshots about people: sealed under the keys of everybody they are about.

Forgetting one of them makes the snapshot unreadable, and an unreadable snapshot is ignored: no
one has to look for it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from goldseam.events.personal import SEALED_STATE
from goldseam.privacy.envelope import AESGCM, NONCE_BYTES, InvalidTag, SubjectKey
from goldseam.privacy.errors import SubjectForgotten

Wanted = tuple[str, int]
"""A subject and the version of its key."""

_LENGTH_BYTES = 4


class Keys(Protocol):
    """Where keys come from; :class:`goldseam.privacy.vault.Vault` is one."""

    async def sealing_keys(self, tenant: str, subjects: set[str]) -> Mapping[str, SubjectKey]:
        """The newest keys, made where they are missing."""
        ...

    async def opening_keys(
        self, tenant: str, wanted: set[Wanted]
    ) -> Mapping[Wanted, SubjectKey | None]:
        """The keys of these versions; None where the subject is forgotten."""
        ...


async def seal_state(
    keys: Keys, tenant: str, subjects: frozenset[str], state: bytes
) -> bytes | None:
    """A snapshot's bytes under the keys of all ``subjects``; None if one is forgotten."""
    try:
        found = await keys.sealing_keys(tenant, set(subjects))
    except SubjectForgotten:
        return None
    about = sorted((subject, key.version) for subject, key in found.items())
    head = msgspec.json.encode(about)
    secret = _joined(found[subject] for subject, _ in about)
    nonce = hmac.digest(secret, head + state, "sha256")[:NONCE_BYTES]
    length = len(head).to_bytes(_LENGTH_BYTES, "big")
    return SEALED_STATE + length + head + nonce + AESGCM(secret).encrypt(nonce, state, head)


async def open_state(keys: Keys, tenant: str, state: bytes) -> tuple[bytes, frozenset[str]] | None:
    """The snapshot's bytes and whom it is about; None if one of them is forgotten, or damaged."""
    start = len(SEALED_STATE) + _LENGTH_BYTES
    length = int.from_bytes(state[len(SEALED_STATE) : start], "big")
    head, rest = state[start : start + length], state[start + length :]
    about = msgspec.json.decode(head, type=list[Wanted])
    found = await keys.opening_keys(tenant, set(about))
    present = [found[one] for one in about]
    known = [key for key in present if key is not None]
    if len(known) < len(about):
        return None
    try:
        clear = AESGCM(_joined(known)).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], head)
    except InvalidTag:
        return None
    return clear, frozenset(subject for subject, _ in about)


def _joined(keys: Iterable[SubjectKey]) -> bytes:
    """One key made of all: with any of them gone, it cannot be made again."""
    return hmac.digest(b"goldseam state", b"".join(key.nonce_key for key in keys), "sha256")
