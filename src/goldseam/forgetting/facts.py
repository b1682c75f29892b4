"""The fact that tells every reader of the log that somebody has been forgotten."""

from __future__ import annotations

from goldseam.events.registry import Registry, event

STREAM = "goldseam-privacy"
"""Where these facts are, one stream for each tenant."""

NAME = "goldseam.SubjectForgotten"


@event(name=NAME)
class SubjectForgotten:
    """The key of ``subject`` is destroyed: what was copied out of its events must be copied anew.

    ``subject`` is the stable id that the events name, which stays readable in them too; the
    reason and who asked are in the event's metadata.
    """

    subject: str
    forgotten_us: int


def known_to(registry: Registry) -> None:
    """Let ``registry`` write and read the fact."""
    registry.register(SubjectForgotten, name=NAME)
