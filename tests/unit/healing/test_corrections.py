"""The declaration: what is not a correction is refused when its module is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest

from goldseam import Personal, Registry
from goldseam.healing.corrections import corrects, declared_in
from goldseam.healing.errors import InvalidCorrection, NotCorrectable
from tests.unit.healing.bank import DepositApplied, DepositCorrected
from tests.unit.healing.bank import registry as bank

WHO: dict[str, Any] = {
    "original_event_id": str, "reason": str, "corrected_by": str, "jira_ticket": str
}  # fmt: skip
PAIR: dict[str, Any] = {"original_amount": int, "corrected_amount": int}


def registered(registry: Registry, fields: dict[str, Any], name: str = "Corrected") -> type:
    kind = msgspec.defstruct(name, list(fields.items()), frozen=True)
    registry.register(kind)
    return kind


@pytest.fixture
def registry() -> Registry:
    found = Registry()
    registered(found, {"amount": int, "account": str}, "Deposit")
    return found


def deposit(registry: Registry) -> type:
    return registry.by_name["Deposit", 1].kind


def test_the_guides_names_are_the_default(registry: Registry) -> None:
    """No argument but the class; a field of both is copied."""
    kind = registered(registry, {**WHO, **PAIR, "account": str})
    corrects(deposit(registry), registry=registry)(kind)

    found = declared_in(registry).of(deposit(registry))
    assert {"amount": ("original_amount", "corrected_amount")} == found.fields
    assert ("account",) == found.copied
    assert found is declared_in(registry).of(kind)


def test_names_in_camel_case_and_other_names_are_taken_too(registry: Registry) -> None:
    """A class that spells its fields as the JSON does; one that has names of its own."""
    camel = {"originalEventId": UUID, "reason": str, "correctedBy": str, "jiraTicket": str}
    pair = {"originalAmount": int, "correctedAmount": int}
    corrects(deposit(registry), registry=registry)(registered(registry, {**camel, **pair}))
    own = Registry()
    registered(own, {"amount": int}, "Deposit")
    fields = {"of": str, "why": str, "who": str, "ticket": str, "was": int, "now": int}
    kind = registered(own, fields)
    corrects(
        deposit(own), fields={"amount": ("was", "now")}, original_event_id="of", reason="why",
        corrected_by="who", ticket="ticket", registry=own,
    )(kind)  # fmt: skip
    assert ("was", "now") == declared_in(own).of(kind).fields["amount"]
    assert "correctedAmount" == declared_in(registry).of(deposit(registry)).fields["amount"][1]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({**WHO}, "it corrects no field"),
        ({**WHO, "corrected_amount": int}, "original_amount"),
        ({**WHO, "original_amount": int, "corrected_amount": str}, "of the type of 'amount'"),
        ({**WHO, **PAIR, "branch": str}, "nothing says what field 'branch'"),
        ({**WHO, **PAIR, "corrected_colour": str}, "nothing says what field 'corrected_colour'"),
        ({**PAIR, **WHO, "original_event_id": int}, "must be of type str or UUID"),
        *[({**PAIR, **{k: v for k, v in WHO.items() if k != gone}}, gone) for gone in WHO],
    ],
)
def test_a_declaration_that_could_not_correct_is_refused(
    registry: Registry, fields: dict[str, Any], why: str
) -> None:
    """The error names the class, the field and what it needs."""
    kind = registered(registry, fields)
    with pytest.raises(InvalidCorrection, match=why):
        corrects(deposit(registry), registry=registry)(kind)


def test_who_and_why_have_no_default(registry: Registry) -> None:
    """A correction without its reason is a second riddle."""

    @registry.event
    @dataclass(frozen=True)
    class Corrected:
        original_event_id: str
        original_amount: int
        corrected_amount: int
        corrected_by: str
        jira_ticket: str
        reason: str = ""

    with pytest.raises(InvalidCorrection, match="must not have a default"):
        corrects(deposit(registry), registry=registry)(Corrected)


def test_one_correction_for_one_class(registry: Registry) -> None:
    """Two would contradict each other; a correction has none of its own; both are registered."""
    first = registered(registry, {**WHO, **PAIR})
    second = registered(registry, {**WHO, **PAIR}, "CorrectedToo")
    declare = corrects(deposit(registry), registry=registry)
    declare(first)
    assert first is declare(first)
    with pytest.raises(InvalidCorrection, match="already"):
        declare(second)
    third = registered(registry, {**WHO, "original_reason": str, "corrected_reason": str}, "Third")
    with pytest.raises(InvalidCorrection, match="declare nothing"):
        corrects(first, registry=registry)(third)
    with pytest.raises(InvalidCorrection, match="not registered"):
        corrects(deposit(registry), registry=registry)(DepositCorrected)
    with pytest.raises(NotCorrectable, match="CorrectedToo"):
        declared_in(registry).of(second)


def test_a_personal_field_is_corrected_by_personal_fields(registry: Registry) -> None:
    """Or the corrected value would stand in the log in clear for ever."""
    mark = Annotated[str, Personal("customer")]
    customer = registered(registry, {"customer": str, "email": mark}, "Joined")
    clear = {**WHO, "customer": str, "original_email": str, "corrected_email": str}
    with pytest.raises(InvalidCorrection, match="personal"):
        corrects(customer, registry=registry)(registered(registry, clear))
    sealed = {**WHO, "customer": str, "original_email": mark, "corrected_email": mark}
    corrects(customer, registry=registry)(registered(registry, sealed, "JoinedCorrected"))
    assert ("customer",) == declared_in(registry).of(customer).copied


def test_a_store_without_corrections_pays_nothing() -> None:
    """Loading asks one attribute, and it is None."""
    assert Registry().corrections is None
    assert declared_in(bank).is_correction(DepositCorrected)
    assert not declared_in(bank).is_correction(DepositApplied)
