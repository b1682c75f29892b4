"""The spine: every failure mode and practice of the guide, as data, each under one slug.

The data is in ``catalogue/<side>.toml``; nothing is read before somebody asks.
A slug such as ``store/version-conflict`` is the same word in the catalogue, the exception's
``failure``, the test file, the runbook, the docs page and the command line.
This package is the lowest layer: it imports nothing of goldseam.
"""

from goldseam.failures.entry import KINDS, POINTERS, SEVERITIES, SIDES, STATUSES, Failure
from goldseam.failures.lookup import UnknownFailure, catalogue, find

__all__ = [
    "KINDS",
    "POINTERS",
    "SEVERITIES",
    "SIDES",
    "STATUSES",
    "Failure",
    "UnknownFailure",
    "catalogue",
    "find",
]
