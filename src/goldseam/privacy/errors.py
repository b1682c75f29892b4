"""What can go wrong with personal data; none of these texts names a subject or shows a value.

A subject's name may itself be personal (an e-mail address), and error texts are copied everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from goldseam.errors import Corrupt, GoldseamError, InvalidInput, Rejected, StoreUnavailable


class InvalidSubject(InvalidInput):
    """The name of a data subject cannot be stored."""

    failure = "privacy/encrypt-at-write"

    def __init__(self, rule: str) -> None:
        self.rule = rule
        super().__init__(f"the name of a data subject is not allowed: {rule}")


class SubjectForgotten(Rejected):
    """The write has personal data of somebody who asked to be forgotten."""

    failure = "privacy/right-to-forget"

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(
            f"{count} data subject(s) of this write have been forgotten; nothing was written: "
            "leave their personal fields out, or re-admit them when they have agreed to it"
        )


class NotForgotten(Rejected):
    """Somebody is re-admitted who was never forgotten, or whose erasure is not complete."""

    failure = "privacy/right-to-forget"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(
            f"the data subject is {state}, and only one whose erasure is complete can be "
            "re-admitted; look with `goldseam privacy status`"
        )


class SealBroken(Corrupt):
    """A sealed value does not open with its subject's key in its own place.

    It was changed, or moved to another event, field or subject.
    """

    failure = "privacy/encrypt-at-write"

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"the sealed value of field {path!r} does not open: {reason}; run `goldseam store "
            "verify` and restore the event from a backup or replica"
        )


class KeyLost(Corrupt):
    """The key of somebody who was never forgotten is not there: an incident, no erasure."""

    failure = "privacy/keys-kept-apart"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the key of a data subject who was not forgotten cannot be read: {reason}; check "
            "that this is the key store of this event store, and restore its newest backup"
        )


class KeyStoreUnavailable(StoreUnavailable):
    """The key store or the key provider cannot be reached; nothing was written or shown."""

    failure = "privacy/keys-kept-apart"

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        text = (
            f"the keys of personal data cannot be reached: {cause}; nothing was written and "
            "nothing is stored in the clear, try again"
        )
        self.args = (text,)


class KeyProviderRefused(GoldseamError):
    """The key provider answers, and says no: a wrong token, a missing right, a wrong setting."""

    failure = "privacy/keys-kept-apart"

    def __init__(self, provider: str, reason: str, step: str) -> None:
        self.provider, self.reason, self.step = provider, reason, step
        super().__init__(f"the key provider {provider} refuses: {reason}; {step}")


class ErasureIncomplete(GoldseamError):
    """An erasure is recorded and not finished: the subject is refused, its key may still exist.

    ``done`` are the steps that are finished, ``failed`` is the one that is not.
    """

    failure = "privacy/delete-the-key"
    retry_safe = True

    def __init__(self, done: Sequence[str], failed: str, cause: str) -> None:
        self.done, self.failed, self.cause = tuple(done), failed, cause
        super().__init__(
            f"the erasure is not complete: done {', '.join(self.done) or 'nothing'}; failed at "
            f"{failed!r} ({cause}); remove the cause and run `goldseam privacy resume`"
        )
