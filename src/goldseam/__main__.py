"""``python -m goldseam`` is the ``goldseam`` command."""

from __future__ import annotations

from goldseam.cli import main

main()
