"""For your own tests: say what was given, what happens, what follows; crash where you like.

``scenario`` tests decisions and ``saga_scenario`` sagas, without a database;
``goldseam.testing.faults`` crashes an operation at every await.
"""

from __future__ import annotations

from goldseam.testing.saga_scenario import saga_scenario
from goldseam.testing.scenario import scenario

__all__ = ["saga_scenario", "scenario"]
