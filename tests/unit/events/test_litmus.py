"""The litmus test, name by name: what a business person understands, and what nobody should."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.events import past_tense
from goldseam.events.glossary import (
    GLOSSARY_BYTES_MAX,
    Glossary,
    InvalidGlossary,
    Waiver,
    parse_glossary,
    read_glossary,
)
from goldseam.events.litmus import RULES, breaches, check, waiver_findings, words_of


def listed(text: str) -> list[str]:
    """A table of names or words, written as a paragraph."""
    return text.split()


GOOD = listed("""
CustomerPlacedOrder AccountOpened DepositApplied MoneyWithdrawn OrderPlaced PaymentFailed
InventoryReserved DepositCorrected OrderWentMissing MoneyDeposited LoanRepaid ChequeBounced
InterestAccrued CardBlocked LimitRaised AccountOverdrawn TransferSent StandingOrderCancelled
InvoiceIssued InvoicePaid RefundGranted CreditNoteWritten ContractSigned ClaimFiled ClaimRejected
PolicyLapsed PremiumFellDue PatientAdmitted PatientDischarged DoseGiven SampleTaken SampleLost
PrescriptionRenewed ShipmentLeftWarehouse ParcelDelivered ParcelHeldAtCustoms GoodsShipped
TruckBrokeDown ContainerUnloaded SeatReserved FlightDelayed GuestCheckedIn GuestCheckedOut
RoomKept CableLaid TicketSold ConcertBegan CourseTaught StudentEnrolled ExamSat GradeGiven
BookLent BookReturned MemberJoined SubscriptionRanOut AuctionWon CustomerBidOnLot CandidateChosen
EmployeeHired EmployeeQuit SalaryPaid VoteCast PriceCut StockSplit MeterRead PriceRose
MachineStopped BatchFrozen PartReplaced ItemAddedToCart ItemRemovedFromCart KYCPassed IBANVerified
VATReturnFiled 3DSecureFailed PlaceReserved ReturnReceived ChargeDisputed ProcessingStarted
PatientWasAdmitted CancellationRequested SecurityUpdateReleased OpenPositionClosed ChildBorn
GuaranteedPriceAgreed MoneyFrozen CourierFoundParcel OfferWithdrawn TenantMovedOut
SpeedingFineIssued FeedDelivered order_placed bank.deposit-applied account.opened ORDER_PLACED
money-withdrawn W2Filed CurrencyExchanged PlanUpgraded SeedsSown BedsFreed ChessSetOrdered
QuoteSentToCustomer BidderOutbid
""")

BAD = {
    "GS101": ["123", "-", "_", "2.0", "", "Order\nPlaced", "OrderPlaced\x00", "\ud800Placed"],
    "GS102": listed("""
UserRecordUpdated UserUpdated OrderCreated AddressChanged ProfileModified InvoiceDeleted CartSaved
LineInserted LineUpserted PriceSet SetPrice UserSetLimit CreateOrder DeleteAccount UpdateCustomer
AccountCreation order_updated bank.account-created ADDRESS_CHANGED CustomerUpdatedAddress
ContactEdited CalendarSynced SettingsPersisted UserUpdate AccountDeletion
"""),
    "GS103": listed("""
UserRecordUpdated OrderRowInserted CustomerEntityPlaced PriceTableLoaded OrderObjectPlaced
CustomerDataReceived PriceModelLoaded OrderDtoSent OrderPlacedEvent OrderPlacedMessage
FraudFlagRaised OrderStatusMoved FieldCleared StateReached DbMigrated OrderPlacedV2
order.placed.v2 JSONReceived ApiCalled RecordsMerged EntitiesLinked StatusesReported WebhookFired
PayloadAccepted CacheFlushed order-data.received XMLExported
"""),
    "GS104": listed("""
PlaceOrder OpenAccount ApplyDeposit WithdrawMoney CancelOrder SendInvoice PlaceBid
CloseExpiredAccounts CancelUnpaidOrder RemoveBlockedUser OrderPlacing PaymentProcessing
ShippingParcel Order Payment Customer OrderShipment AccountBalance NewCustomer OrderShips
PaymentPending FlowerBed CattleFeed CustomerNeed WindSpeed AppleSeed GardenShed TitleDeed
OneHundred LimitedOffer AuctionBid CreditSpread SawBlade CutPrice place_order bank.place-order
PLACE_ORDER BookLoan GuestCheckin order orderplacing
"""),
}

UNFINISHED = listed("Deposited LoggedIn PaidInvoice RegisteredUser")


def codes(name: str, glossary: Glossary | None = None) -> set[str]:
    return {finding.rule for finding in check(name, glossary)}


def test_the_tables_are_as_large_as_they_claim() -> None:
    """Sixty names of each kind, none of them twice."""
    bad = {name for names in BAD.values() for name in names}

    assert 60 <= len(set(GOOD)) == len(GOOD)
    assert 60 <= len(bad)
    assert set() == bad & set(GOOD)


@pytest.mark.parametrize("name", GOOD)
def test_a_business_fact_passes(name: str) -> None:
    """A fact in the words of a business has nothing to answer for."""
    assert [] == check(name)


@pytest.mark.parametrize(("rule", "name"), [(r, n) for r, names in BAD.items() for n in names])
def test_a_technical_name_breaks_the_rule(rule: str, name: str) -> None:
    """Each name is flagged, by the rule that it breaks, as an error."""
    found = [finding for finding in check(name) if finding.rule == rule]

    assert found
    assert all(finding.level == "error" for finding in found)


@pytest.mark.parametrize("name", UNFINISHED)
def test_a_name_without_a_subject_is_advised_on(name: str) -> None:
    """A verb at the head of a name is a note, and no more."""
    assert [("GS106", "note")] == [(found.rule, found.level) for found in check(name)]


def test_the_guides_two_names() -> None:
    """`UserRecordUpdated` is technical twice over; `CustomerPlacedOrder` is business language."""
    assert {"GS102", "GS103"} == codes("UserRecordUpdated")
    assert set() == codes("CustomerPlacedOrder")


def test_a_finding_says_the_fact_the_reason_and_the_question() -> None:
    """A message is enough to act on."""
    (found,) = check("UserUpdated")

    assert (
        "'updated' in 'UserUpdated' is what happens to a row; it keeps the result and loses the "
        "reason. Ask: why did it happen, and what does the business call that?"
    ) == found.message


def test_each_rule_has_its_code_and_its_words() -> None:
    """Codes are stable; every rule says why it is there and what to ask."""
    assert listed("GS101 GS102 GS103 GS104 GS105 GS106 GS201 GS202 GS203") == list(RULES)
    for code, rule in RULES.items():
        assert code == rule.code
        assert rule.title
        assert rule.why
        assert rule.question.endswith("?")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CustomerPlacedOrder", ["Customer", "Placed", "Order"]),
        ("KYCPassed", ["KYC", "Passed"]),
        ("bank.deposit-applied", ["bank", "deposit", "applied"]),
        ("ORDER_PLACED", ["ORDER", "PLACED"]),
        ("3DSecureFailed", ["3D", "Secure", "Failed"]),
        ("OrderPlacedV2", ["Order", "Placed", "V2"]),
        ("W2Filed", ["W2", "Filed"]),
        ("ÜberweisungAusgeführt", ["Überweisung", "Ausgeführt"]),
        ("", []),
    ],
)
def test_names_come_apart_into_words(name: str, words: list[str]) -> None:
    """Every common way to write a name is read."""
    assert words == words_of(name)


# ------------------------------------------------------------------------------ the past tense


def test_enough_irregular_verbs_are_known() -> None:
    """The verbs of daily business are among at least 150."""
    assert 150 <= len(past_tense.IRREGULAR_VERBS)
    assert {"pay", "send", "leave", "hold", "begin", "break"} <= past_tense.IRREGULAR_VERBS


@pytest.mark.parametrize(
    "word",
    listed(
        "paid sent held began broke chose withdrawn went lost sold bought took made kept won "
        "placed opened applied failed freed agreed decreed guaranteed tried dyed shipped overdrawn "
        "Placed PAID seeded needed exceeded embedded"
    ),
)
def test_past_forms(word: str) -> None:
    """Regular and irregular past forms, however they are written."""
    assert past_tense.is_past(word)


@pytest.mark.parametrize(
    "word",
    [
        "",
        *listed(
            "bed feed need speed seed shed weed deed red shred sled hundred exceed proceed succeed "
            "embed limited united place order opening sacred watershed ed e Bed FEED cut set"
        ),
    ],
)
def test_words_that_only_look_past(word: str) -> None:
    """A noun in -ed, a base form, or a word that is past only by its place."""
    assert not past_tense.is_past(word)


@pytest.mark.parametrize(
    ("word", "base"),
    [("placed", "place"), ("applied", "apply"), ("shipped", "ship"), ("paid", "pay"),
     ("opened", "open"), ("orders", "order"), ("entries", "entry"), ("shipping", "ship")],
)  # fmt: skip
def test_inflections_lead_to_their_base(word: str, base: str) -> None:
    """A glossary need not list every form."""
    assert base in past_tense.base_forms(word)


# ------------------------------------------------------------------------------ the glossary

BANK = parse_glossary("""
past_tense = ["aufgegeben"]
[words]
account = "what a customer holds with us"
deposit = "money paid in"
apply = ""
table = "where guests sit"
reserve = ""
"standing order" = ""
cancel = ""
""")


def test_words_outside_the_glossary_are_flagged() -> None:
    """With business words given, each word is one of them or a function word."""
    assert set() == codes("DepositApplied", BANK)
    assert set() == codes("DepositsAppliedToAccount", BANK)
    assert set() == codes("StandingOrderCancelled", BANK)
    assert {"GS105"} == codes("WidgetApplied", BANK)
    assert set() == codes("WidgetApplied")


def test_the_glossary_claims_a_technical_word_for_the_business() -> None:
    """A restaurant has tables."""
    assert {"GS103"} == codes("TableReserved")
    assert set() == codes("TableReserved", BANK)
    assert set() == codes("TablesReserved", BANK)


def test_a_crud_word_is_claimed_only_in_full() -> None:
    """That the business speaks of updates does not make `Updated` a fact."""
    updates = Glossary(words=frozenset({"account", "update"}))
    updated = Glossary(words=frozenset({"account", "updated"}))

    assert {"GS102"} == codes("AccountUpdated", updates)
    assert set() == codes("AccountUpdated", updated)


def test_the_glossary_teaches_past_forms_of_other_languages() -> None:
    """The lint knows English; the glossary adds what it does not."""
    german = Glossary(past_tense=frozenset({"aufgegeben"}))

    assert {"GS104"} == codes("BestellungAufgegeben")
    assert set() == codes("BestellungAufgegeben", german)
    assert frozenset({"aufgegeben"}) == BANK.past_tense


WAIVED = """
[[waiver]]
name = "UserRecordUpdated"
rule = "GS102"
reason = "stored since the first release"
expires = 2026-06-30
"""


def test_a_waiver_waives_one_rule_of_one_name() -> None:
    """What is waived is no longer found; everything else is."""
    glossary = parse_glossary(WAIVED, today=date(2026, 6, 30))

    assert {"GS103"} == codes("UserRecordUpdated", glossary)
    assert {"GS102"} == codes("UserUpdated", glossary)
    assert [] == waiver_findings(glossary, {("UserRecordUpdated", "GS102")})


def test_an_expired_waiver_waives_nothing() -> None:
    """The day after its last day it is itself a finding, on its line."""
    glossary = parse_glossary(WAIVED, today=date(2026, 7, 1))

    assert {"GS102", "GS103"} == codes("UserRecordUpdated", glossary)
    found = waiver_findings(glossary, {("UserRecordUpdated", "GS102")})
    assert [(2, "GS202")] == [(line, each.rule) for line, each in found]


@pytest.mark.parametrize("reason", ["", 'reason = ""', 'reason = "  "'])
def test_a_waiver_without_reason_waives_nothing(reason: str) -> None:
    """An exception that nobody explained is an error of its own."""
    glossary = parse_glossary(f'[[waiver]]\nname = "OrderCreated"\nrule = "GS102"\n{reason}\n')

    assert {"GS102"} == codes("OrderCreated", glossary)
    (_, found), *more = waiver_findings(glossary, {("OrderCreated", "GS102")})
    assert [] == more
    assert ("GS201", "error") == (found.rule, found.level)


def test_a_waiver_of_no_rule_is_an_error() -> None:
    """A mistyped code waives nothing and says so."""
    glossary = Glossary(waivers=(Waiver("OrderCreated", "GS999", "old"),))

    assert ["GS201"] == [each.rule for _, each in waiver_findings(glossary, set())]


def test_an_unused_waiver_is_reported() -> None:
    """A note: another run over another folder may need it."""
    glossary = parse_glossary(WAIVED)

    found = [each for _, each in waiver_findings(glossary, set())]
    assert [("GS203", "note")] == [(each.rule, each.level) for each in found]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("words = [", "it is no TOML"),
        ("words = 3", "words must be a list"),
        ("words = [3]", "words must be a list"),
        ("word = ['a']", "the glossary has word; known are"),
        ("waiver = 3", r"a waiver is written as \[\[waiver\]\]"),
        ("[[waiver]]\nrule = 'GS102'\nreason = 'x'", "the waiver on line 1 has no name"),
        ("\n[[waiver]]\nname = 'A'\nreason = 'x'", "the waiver on line 2 has no rule"),
        ("[[waiver]]\nname = 'A'\nrule = 'GS102'\nreason = 3", "reason of the waiver on line 1"),
        ("[[waiver]]\nname = 'A'\nrule = 'GS102'\nexpires = 'soon'", "must be a date"),
        ("[[waiver]]\nname = 'A'\nrule = 'GS102'\nreasons = 'x'", "has reasons; known are"),
    ],
)
def test_a_glossary_that_says_nothing_clear_is_refused(text: str, reason: str) -> None:
    """A typing mistake never waives and never widens."""
    with pytest.raises(InvalidGlossary, match=reason):
        parse_glossary(text)


def test_a_glossary_is_a_small_text_file(tmp_path: Path) -> None:
    """What cannot be a glossary is not read in."""
    too_large = tmp_path / "large.toml"
    too_large.write_bytes(b"#" * (GLOSSARY_BYTES_MAX + 1))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")

    with pytest.raises(InvalidGlossary, match="larger than"):
        read_glossary(too_large)
    with pytest.raises(InvalidGlossary, match="not UTF-8"):
        read_glossary(binary)
    with pytest.raises(InvalidGlossary, match="No such file"):
        read_glossary(tmp_path / "none.toml")


# ------------------------------------------------------------------------------ any text at all

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))
"""Also lone surrogates, NUL and what is not assigned."""
NAMES = ANY_TEXT | st.lists(
    st.sampled_from(["Set", "Order", "placed", "V2", "2", "In", "Event", "ed", "-", ".", "ß", "İ"]),
    max_size=6,
).map("".join)


@given(NAMES, st.booleans())
def test_no_name_crashes_the_litmus_test(name: str, with_glossary: bool) -> None:
    """Any text is a possible name; findings are printable lines of known rules."""
    for finding in breaches(name, BANK if with_glossary else Glossary()):
        assert finding.rule in RULES
        assert finding.message.isprintable()


@given(st.text(max_size=60))
def test_no_text_crashes_the_glossary(text: str) -> None:
    """A glossary is read, or refused as one."""
    with suppress(InvalidGlossary):
        assert isinstance(parse_glossary(text), Glossary)
