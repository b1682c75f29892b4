"""The orders service. ``goldseam run examples.shop.orders:app``; its HTTP door: ``http.py``."""

from __future__ import annotations

from examples.shop.orders.application import create
from examples.shop.settings import settings

__all__ = ["app"]

app = create(settings)
"""What ``goldseam run`` runs."""
