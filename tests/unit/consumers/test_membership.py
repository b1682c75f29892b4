"""A member's id outlives its restart, or somebody is told."""

from __future__ import annotations

import logging

import pytest

from goldseam.consumers.membership import membership_of, static_id


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"POD_NAME": "billing-2", "HOSTNAME": "other"}, ("billing-billing-2", "POD_NAME", True)),
        ({"HOSTNAME": "worker-7"}, ("billing-worker-7", "HOSTNAME", True)),
        ({"POD_NAME": ""}, ("billing-mill", "machine", True)),
        ({}, ("billing-mill", "machine", True)),
        ({"HOSTNAME": "3f2504e04f89"}, ("billing-3f2504e04f89", "HOSTNAME", False)),
        (
            {"POD_NAME": "billing-6d4cf56db6-x7k2p"},
            ("billing-billing-6d4cf56db6-x7k2p", "POD_NAME", False),
        ),
    ],
)
def test_the_id_comes_from_the_pod_the_host_or_the_machine(
    environment: dict[str, str], expected: tuple[str, str, bool]
) -> None:
    """In this order; a name that is made up for each start is known as such."""
    found = static_id("billing", environment, "mill")
    assert expected == (found.value, found.source, found.stable)


def test_several_processes_of_one_machine_are_told_apart() -> None:
    """Two members with one id would fence each other for ever."""
    one = static_id("billing", {}, "mill", member="1")
    two = static_id("billing", {}, "mill", member="2")
    assert "billing-mill-1" == one.value
    assert one.value != two.value


def test_an_id_has_only_characters_that_brokers_take() -> None:
    """Whatever a machine is called."""
    assert "billing-my_mill" == static_id("billing", {}, "my mill").value


def test_an_unstable_id_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It works, but every restart is a new member; the words say how to mend it."""
    with caplog.at_level(logging.WARNING):
        made = membership_of("billing", static_id("billing", {"HOSTNAME": "3f2504e04f89"}, "m"))
    assert "billing-3f2504e04f89" == made.instance
    assert "StatefulSet" in caplog.text


def test_both_group_protocols_can_be_asked_for() -> None:
    """The group is the consumer's name; without an identity it is a dynamic member."""
    made = membership_of("billing", protocol="consumer", session_seconds=10)
    expected = ("billing", None, "consumer", 10)
    assert expected == (made.group, made.instance, made.protocol, made.session_seconds)
