"""``goldseam privacy`` as an operator meets it: from the first export to the certificate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from goldseam import NEW
from tests.conftest import ROOT
from tests.forgetting.people import CustomerReferred, CustomerRegistered, caught_up, names, office

APP = ("--app", "tests.acceptance.shop_with_customers:app")
NAME, MAIL = "Ann Marker-31d7", "bob@marker.example"


class Shop:
    """The command line on one store, from the outside."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.environment = {
            **os.environ,
            "GOLDSEAM_STORE": url,
            "GOLDSEAM_KEYS": f"sqlite:///{folder}/keys.db",
            "GOLDSEAM_KEY_PROVIDER": f"file://{folder}/epochs",
        }

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "goldseam", "privacy", *arguments],
            env=self.environment, capture_output=True, text=True, check=False, timeout=90,
            cwd=ROOT, input=stdin,
        )  # fmt: skip


@pytest.fixture
async def shop(store_url: str, tmp_path: Path) -> Shop:
    """With one customer who has referred another."""
    async with office(store_url, tmp_path) as opened:
        both = CustomerReferred("c-1", "c-2", "try it, says Ann", MAIL)
        await opened.store.append("customer-1", [CustomerRegistered("c-1", NAME)], expected=NEW)
        await opened.store.append("referral-1", [both], expected=NEW)
        await caught_up(opened.projections["customers"])
    return Shop(store_url, tmp_path)


async def test_from_export_to_certificate(shop: Shop, tmp_path: Path) -> None:
    """Export, forget, status, prove, verify, re-admit: with codes a script can follow."""
    exported = shop("export", "c-1", *APP)
    lines = [json.loads(line) for line in exported.stdout.splitlines()]
    assert [NAME, "try it, says Ann"] == [
        lines[0]["fields"]["name"], lines[1]["fields"]["note"],
    ], exported.stderr  # fmt: skip
    assert MAIL not in exported.stdout
    assert {"subject": "c-1", "count": 2, "read_models": ["customers"]} == lines[2]
    assert 2 == len(json.loads(shop("export", "c-1", "--json", *APP).stdout)["events"])

    markers, certificate = tmp_path / "markers", tmp_path / "certificate.json"
    refused = shop("forget", "c-1", "--reason", "asked")
    assert (2, True) == (refused.returncode, "--app" in refused.stderr)
    done = shop("forget", "c-1", "--reason", "asked", "--markers", str(markers), "--json", *APP)
    assert 0 == done.returncode, done.stderr
    assert (1, ["customers"]) == (
        json.loads(done.stdout)["subjects"], json.loads(done.stdout)["read_models"],
    )  # fmt: skip
    assert [NAME, "try it, says Ann"] == [json.loads(x) for x in markers.read_text().splitlines()]
    assert 0o600 == markers.stat().st_mode & 0o777
    async with office(shop.url, tmp_path) as opened:
        assert {"c-1": "[forgotten]"} == await names(opened)

    assert "forgotten" == json.loads(shop("status", "c-1", "--json").stdout)["state"]
    assert 0 == shop("status").returncode
    listed = json.loads(shop("subjects", "--state", "forgotten", "--json").stdout)
    assert ["c-1"] == [one["subject"] for one in listed]

    nowhere = ("--data-directory", "/nonexistent")  # a shared server's files are not searched
    proof = shop("prove", "c-1", "--markers", "-", *nowhere, *APP, stdin=markers.read_text())
    assert 0 == proof.returncode, proof.stderr
    assert NAME not in proof.stdout + proof.stderr
    assert "nothing is left" == json.loads(proof.stdout)["certificate"]["verdict"]
    certificate.write_text(proof.stdout)
    key = json.loads(proof.stdout)["public_key"]
    good = ("verify-certificate", str(certificate), "--public-key", key)
    assert 0 == shop(*good, "--subject", "c-1").returncode
    assert 1 == shop(*good, "--subject", "c-2").returncode
    certificate.write_text(proof.stdout.replace('"main"', '"other"'))
    assert 1 == shop(*good).returncode

    assert 0 == shop("readmit", "c-1").returncode
    assert 4 == shop("readmit", "c-1").returncode


def test_what_is_left_is_found(shop: Shop) -> None:
    """A proof before the forget: exit code 1, and the certificate says where."""
    nowhere = ("--data-directory", "/nonexistent")
    proof = shop("prove", "c-1", "--markers", "-", *nowhere, *APP, stdin=f"{NAME}\n")
    assert 1 == proof.returncode, proof.stderr
    body = json.loads(proof.stdout)["certificate"]
    assert "something is left" == body["verdict"]
    assert "customers__1" in [one["name"] for one in body["places"] if one["found"]]


def test_an_open_erasure_is_said_and_resumed(shop: Shop, tmp_path: Path) -> None:
    """The provider refuses: exit code 1, status 1; mended, resume finishes it."""
    (tmp_path / "epochs").chmod(0o755)
    failed = shop("forget", "c-1", "--reason", "asked", *APP)
    assert (1, True) == (failed.returncode, "goldseam privacy resume" in failed.stderr)
    assert NAME not in failed.stderr
    assert 1 == shop("status").returncode
    (tmp_path / "epochs").chmod(0o700)
    assert 0 == shop("resume", *APP).returncode
    assert 0 == shop("status").returncode


def test_rotate_and_the_errors_of_a_caller(shop: Shop) -> None:
    """One epoch after it; without keys, or with keys out of reach, codes 2 and 3."""
    assert 1 == json.loads(shop("rotate", "--json").stdout)["epochs"]
    unreachable = shop("status", "--keys", "postgresql://nobody@127.0.0.1:1/none")
    assert 3 == unreachable.returncode, unreachable.stderr
    del shop.environment["GOLDSEAM_KEYS"]
    assert 2 == shop("status").returncode
