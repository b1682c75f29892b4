"""The certificate of a proof: what was searched, when, with which result; signed, without names.

It says about whom it is only to those who know already: by salted digests of the subjects' ids.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal

import msgspec

from goldseam.forgetting.errors import CertificateInvalid
from goldseam.forgetting.prove import Findings
from goldseam.forgetting.signing import Signer, check_signature

FORMAT = "goldseam proof of forgetting 1"

SALT_BYTES = 16

OUT_OF_SCOPE = (
    "Backups elsewhere: of what was sealed they hold ciphertext, and its epoch key is destroyed.",
    "Read models, exports, e-mails and logs that other programs have copied.",
    "What a file system, a disk or a snapshot of it keeps of deleted files.",
    "Values in forms that were not sought: compressed, encrypted by others, cut in two.",
)

Verdict = Literal["nothing is left", "keys are destroyed, nothing was sought", "something is left"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(msgspec.Struct, frozen=True):
    """One file or table that was searched."""

    kind: str
    name: str
    bytes: int
    rows: int
    found: int


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at besides, and how it was."""

    name: str
    good: bool
    what: str


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed."""

    format: str
    store: str
    tenant: str
    salt: str
    subjects: list[str]
    begun: str
    ended: str
    values_sought: int
    keys_sought: int
    forms_sought: int
    places: list[Place]
    checks: list[Check]
    not_seen: list[str]
    out_of_scope: list[str]
    verdict: Verdict


class Certificate(msgspec.Struct, frozen=True):
    """A body and who has signed it; both keys and signatures are base64."""

    certificate: Body
    public_key: str
    signature: str


def issue(findings: Findings, signer: Signer, new_bytes: Callable[[int], bytes]) -> Certificate:
    """A signed certificate of what was found."""
    salt = new_bytes(SALT_BYTES)
    body = Body(
        format=FORMAT,
        store=findings.store,
        tenant=findings.tenant,
        salt=salt.hex(),
        subjects=sorted(_digest(salt, subject) for subject in findings.subjects),
        begun=_iso(findings.begun_us),
        ended=_iso(findings.ended_us),
        values_sought=findings.values,
        keys_sought=findings.keys,
        forms_sought=findings.forms,
        places=[Place(*one) for one in findings.places],
        checks=[Check(*one) for one in findings.checks],
        not_seen=list(findings.not_seen),
        out_of_scope=list(OUT_OF_SCOPE),
        verdict=_verdict(findings),
    )
    return Certificate(body, signer.public_key, signer.sign(_canonical(body)))


def verify_certificate(
    data: bytes, *, public_key: str | None = None, subjects: Sequence[str] = ()
) -> Certificate:
    """The certificate in ``data``, if it is what its key has signed.

    Args:
        public_key: who must have signed it; without, it is only known to be unchanged.
        subjects: whom it must be about.

    Raises:
        CertificateInvalid: it is changed, of another key, or about others.
    """
    try:
        found = msgspec.json.decode(data, type=Certificate)
    except msgspec.MsgspecError:
        raise CertificateInvalid("it has not the shape of a certificate") from None
    body = found.certificate
    # Over what is in the file, so that a field more or less breaks it too.
    raw = msgspec.json.decode(data)["certificate"]
    check_signature(found.public_key, found.signature, _canonical(raw))
    if body.format != FORMAT:
        raise CertificateInvalid("this version does not know its format")
    if public_key is not None and not hmac.compare_digest(public_key, found.public_key):
        raise CertificateInvalid("somebody else has signed it")
    salt = bytes.fromhex(body.salt)
    if any(_digest(salt, subject) not in body.subjects for subject in subjects):
        raise CertificateInvalid("it is about somebody else")
    return found


def _verdict(findings: Findings) -> Verdict:
    if not findings.clean:
        return "something is left"
    return "nothing is left" if findings.forms else "keys are destroyed, nothing was sought"


def _canonical(body: object) -> bytes:
    return msgspec.json.encode(body, order="sorted")


def _digest(salt: bytes, subject: str) -> str:
    return hmac.new(salt, subject.encode(), sha256).hexdigest()


def _iso(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat()
