"""What can go wrong while somebody is forgotten, and while it is proved; no text names anybody."""

from __future__ import annotations

from goldseam.errors import Corrupt, GoldseamError, InvalidInput


class ReadModelsUnknown(GoldseamError):
    """The erasure cannot go on here: nobody said which read models there are."""

    failure = "privacy/right-to-forget"

    def __init__(self) -> None:
        super().__init__("the read models are not known here; name their application with --app")


class FilesHeld(GoldseamError):
    """A reader holds a file that must be emptied."""

    failure = "privacy/delete-the-key"

    def __init__(self) -> None:
        super().__init__("a long read holds the WAL of a SQLite file; end it")


class StillThere(GoldseamError):
    """A key that was destroyed can still be had."""

    failure = "privacy/delete-the-key"

    def __init__(self) -> None:
        super().__init__("the key can still be had; look who has restored the key store")


class CertificateInvalid(Corrupt):
    """A certificate is not what was signed, or not by whom it should be."""

    failure = "privacy/delete-the-key"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the certificate is not valid: {reason}; ask for it again")


class SigningKeyUnusable(InvalidInput):
    """The file of the signing key is not a key, or others can read it."""

    failure = "privacy/delete-the-key"

    def __init__(self, reason: str, step: str) -> None:
        self.reason = reason
        super().__init__(f"the signing key cannot be used: {reason}; {step}")
