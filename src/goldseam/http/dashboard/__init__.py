"""The dashboard: what the river carries and where it is stuck, in a browser.

Pages are made on the server and work without JavaScript; a small script keeps the overview's
numbers moving. Nothing is loaded from elsewhere, nothing is inline, everything is escaped.
"""

from __future__ import annotations

from goldseam.http.dashboard.routes import dashboard_router
from goldseam.http.dashboard.sessions import DashboardSessions

__all__ = ["DashboardSessions", "dashboard_router"]
