"""The saga test kit: what passes, and above all what fails and with which words."""

from __future__ import annotations

import pytest

from goldseam.testing import saga_scenario
from tests.support.fulfilment import (
    Asked,
    Called,
    InventoryRefused,
    InventoryReleased,
    InventoryReserved,
    OrderReceived,
    ReleaseRequested,
    ReservationRequested,
)

ORDER = OrderReceived("17")


def test_a_command_leaves_when_it_starts() -> None:
    """Given nothing, the first service is asked, and its answer awaited for its time."""
    saga_scenario(Asked, ORDER).then(ReservationRequested("17")).then_doing(
        "reserve"
    ).then_waits_seconds(30)


def test_a_refusal_ends_it_with_nothing_to_undo() -> None:
    """The service did nothing: there is nothing to release."""
    saga_scenario(Asked, ORDER).when(InventoryRefused("17")).then_nothing().then_status(
        "compensated"
    )


def test_time_that_passes_turns_it_back() -> None:
    """No answer: the outcome is unknown, so it is released all the same."""
    saga_scenario(Asked, ORDER).when_seconds_pass(29).then_nothing().when_seconds_pass(2).then(
        ReleaseRequested("17")
    ).then_status("compensating").when(InventoryReleased("17")).then_status("compensated")


def test_a_late_answer_changes_nothing() -> None:
    """It was asked to release by then, and the release is what counts."""
    saga_scenario(Asked, ORDER).when_seconds_pass(31).when(InventoryReserved("17")).then_nothing(
    ).then_status("compensating").then_doing("reserve")  # fmt: skip


def test_calls_are_told_how_they_ended() -> None:
    """Steps that are calls: done, failed with the next attempt later, refused."""
    saga_scenario(Called, ORDER).when_done("reserve", 7).when_refused("charge").then_doing(
        "reserve"
    ).when_done("reserve").then_status("compensated")


def test_a_compensation_that_goes_on_failing_parks() -> None:
    """Two attempts, then a human is needed."""
    kit = saga_scenario(Called, ORDER).when_done("reserve").when_failed("charge", times=2)
    kit.then_status("compensating").then_doing("charge").when_done("charge")
    kit.when_failed("reserve", times=2).then_status("parked")


def test_answers_pass_over_calls_that_come_before() -> None:
    """A scenario may leave out the calls that simply work."""
    saga_scenario(Asked, ORDER).given(InventoryReserved("17")).when_done("charge").then_status(
        "completed"
    )


def test_other_commands_fail_with_the_story() -> None:
    """The message says what was expected, what left, and what happened before."""
    with pytest.raises(AssertionError) as caught:
        saga_scenario(Asked, ORDER).when(InventoryRefused("17")).then(ReleaseRequested("17"))
    words = str(caught.value)
    assert "but there left none" in words
    assert "answered InventoryRefused(order='17')" in words


@pytest.mark.parametrize("check", ["then_status", "then_doing"])
def test_wrong_expectations_fail(check: str) -> None:
    """Control: a kit that cannot fail tests nothing."""
    with pytest.raises(AssertionError, match="expected"):
        getattr(saga_scenario(Asked, ORDER), check)("nonsense")


def test_a_call_that_is_not_due_cannot_end() -> None:
    """The scenario itself is wrong then, and says so."""
    with pytest.raises(AssertionError, match="it is at reserve, not calling charge"):
        saga_scenario(Called, ORDER).when_done("charge")


def test_waiting_too_long_fails() -> None:
    """Control: the bound of a wait is a bound."""
    with pytest.raises(AssertionError, match="expected to wait 1 s"):
        saga_scenario(Asked, ORDER).then_waits_seconds(1)
