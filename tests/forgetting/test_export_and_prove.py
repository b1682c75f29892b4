"""Export of all that is known, the proof that nothing is left, and its certificate."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from goldseam import NEW
from goldseam.forgetting.certificate import issue, verify_certificate
from goldseam.forgetting.errors import CertificateInvalid, SigningKeyUnusable
from goldseam.forgetting.export import OTHER, Exporter
from goldseam.forgetting.prove import Findings, Prover
from goldseam.forgetting.signing import open_signer
from tests.forgetting.people import (
    CustomerReferred,
    CustomerRegistered,
    Office,
    PlanChanged,
    caught_up,
    office,
)

ANN = CustomerRegistered("c-1", "Ann Marker-9c1f", "4111111111111234")
BOTH = CustomerReferred("c-1", "c-2", "try it, says Ann", "bob@marker.example")


async def filled(opened: Office) -> None:
    await opened.store.append("customer-1", [ANN, PlanChanged("pro")], expected=NEW)
    await opened.store.append("customer-2", [CustomerRegistered("c-2", "Bob Marker")], expected=NEW)
    await opened.store.append("referral-1", [BOTH], expected=NEW)
    await caught_up(opened.projections["customers"])


async def exported(opened: Office, subject: str) -> list[Any]:
    events = Exporter(opened.store, opened.vault).events(subject)
    return [event async for event in events]


async def proved(opened: Office, *values: str, also: tuple[Path, ...] = ()) -> Findings:
    # The files of the tests' own shared server are not ours to search, and many.
    nowhere = Path("/nonexistent")
    prover = Prover(
        opened.store, opened.vault, opened.key_database, opened.provider, data_directory=nowhere
    )
    return await prover.prove(["c-1"], values, also=also)


async def test_an_export_has_what_names_the_person(store_url: str, tmp_path: Path) -> None:
    """Opened, with position and type; what is about somebody else in the same event is not."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)
        first, second = await exported(opened, "c-1")
        assert (1, "customer-1", "CustomerRegistered") == (
            first.position, first.stream, first.type,
        )  # fmt: skip
        assert ("Ann Marker-9c1f", ["name", "card"]) == (first.fields["name"], first.personal)
        assert ("try it, says Ann", OTHER) == (
            second.fields["note"], second.fields["receiver_email"],
        )  # fmt: skip
        values = [v async for v in Exporter(opened.store, opened.vault).values("c-1")]
        assert ["Ann Marker-9c1f", "4111111111111234", "try it, says Ann"] == values


async def test_an_export_of_the_forgotten_says_so(store_url: str, tmp_path: Path) -> None:
    """The events that named them, with stand-ins."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)
        await opened.forgetting.forget(["c-1"], "asked")
        first, *_ = await exported(opened, "c-1")
        assert ["name", "card"] == first.forgotten
        assert "[forgotten]" == first.fields["name"]
        assert b"Ann" not in msgspec.json.encode(first)


async def test_an_event_that_names_the_person_with_nothing_personal_is_exported(
    store_url: str, tmp_path: Path
) -> None:
    """By the field that names the subject; and a name inside another name is not theirs."""
    async with office(store_url, tmp_path) as opened:
        await opened.store.append("customer-9", [CustomerRegistered("c-9", "")], expected=NEW)
        await opened.store.append("customer-99", [CustomerRegistered("c-99", "x")], expected=NEW)
        assert [1] == [event.position for event in await exported(opened, "c-9")]


async def test_a_proof_finds_what_is_left_and_then_nothing(store_url: str, tmp_path: Path) -> None:
    """Before: the values in the read model and checks that fail. After: nothing, all well."""
    async with office(store_url, tmp_path) as opened:
        await filled(opened)
        before = await proved(opened, ANN.name)
        assert not before.clean
        assert "customers__1" in [one.name for one in before.places if one.found]
        assert {"erasure", "key rows", "epoch keys", "sealed values"} == {
            one.name for one in before.checks if not one.good
        }
        await opened.forgetting.forget(["c-1"], "asked")
        after = await proved(opened, ANN.name)
        assert [] == [one for one in after.places if one.found]
        assert [] == [one for one in after.checks if not one.good]


async def test_a_copy_that_somebody_kept_is_found(tmp_path: Path) -> None:
    """A file that is named is searched too, in whatever form the value is there."""
    async with office(f"sqlite:///{tmp_path}/store.db", tmp_path) as opened:
        await filled(opened)
        await opened.forgetting.forget(["c-1"], "asked")
        kept = tmp_path / "old.csv"
        kept.write_text("id;name\n1;" + b"Ann Marker-9c1f".hex())
        findings = await proved(opened, ANN.name, also=(kept,))
        assert ["old.csv"] == [one.name for one in findings.places if one.found]


async def test_a_certificate_says_what_and_not_who(tmp_path: Path) -> None:
    """It verifies with its key; changed, of another key or for somebody else it does not."""
    async with office(f"sqlite:///{tmp_path}/store.db", tmp_path) as opened:
        await filled(opened)
        await opened.forgetting.forget(["c-1"], "asked")
        findings = await proved(opened, ANN.name, str(ANN.card))
        signer = open_signer(tmp_path / "sign")
        data = msgspec.json.encode(issue(findings, signer, os.urandom))
        body = verify_certificate(data, public_key=signer.public_key, subjects=["c-1"]).certificate
        assert ("nothing is left", 2) == (body.verdict, body.values_sought)
        assert b"Ann" not in data
        assert b"c-1" not in data.replace(body.store.encode(), b"")
        pretty = json.dumps(json.loads(data), indent=4, sort_keys=True).encode()
        assert body == verify_certificate(pretty).certificate
        for broken, expected in (
            (data.replace(b'"values_sought":2', b'"values_sought":3'), {}),
            (data, {"public_key": open_signer(tmp_path / "other").public_key}),
            (data, {"subjects": ["c-2"]}),
            (b"{}", {}),
        ):
            with pytest.raises(CertificateInvalid):
                verify_certificate(broken, **expected)


async def test_without_values_the_certificate_does_not_claim_a_search(tmp_path: Path) -> None:
    """The keys are destroyed, and nothing was looked for."""
    async with office(f"sqlite:///{tmp_path}/store.db", tmp_path) as opened:
        await filled(opened)
        await opened.forgetting.forget(["c-1"], "asked")
        certificate = issue(await proved(opened), open_signer(tmp_path / "sign"), os.urandom)
        assert "keys are destroyed, nothing was sought" == certificate.certificate.verdict


def test_a_signing_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """It is made for its owner alone, and stays so."""
    path = tmp_path / "sign"
    open_signer(path)
    assert 0o600 == path.stat().st_mode & 0o777
    path.chmod(0o644)
    with pytest.raises(SigningKeyUnusable, match="chmod"):
        open_signer(path)
