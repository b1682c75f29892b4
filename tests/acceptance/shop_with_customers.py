"""An application as a user has it, for commands that name it with --app."""

from __future__ import annotations

import os

from goldseam import Goldseam
from tests.forgetting.people import Customers, Plans, people

app = Goldseam(os.environ["GOLDSEAM_STORE"], [Customers(), Plans()], registry=people)
