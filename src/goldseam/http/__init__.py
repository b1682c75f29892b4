"""The HTTP door: the store, its read models and its health, over FastAPI.

``create_app`` makes the application that ``goldseam serve`` runs; ``store_router`` and
``read_model_router`` mount the same routes in an application of your own, ``install_problems``
gives it the same error answers, ``read_after`` and ``ReadYourWrites`` honour position tokens.
"""

from __future__ import annotations

from importlib.util import find_spec

from goldseam.errors import MissingExtra

if find_spec("fastapi") is None or find_spec("jinja2") is None:
    raise MissingExtra("the HTTP door", "http")

from goldseam.http.app import create_app
from goldseam.http.problems import install_problems
from goldseam.http.read_models import read_model_router
from goldseam.http.read_your_writes import Reads, ReadYourWrites, read_after
from goldseam.http.streams import store_router

__all__ = [
    "ReadYourWrites",
    "Reads",
    "create_app",
    "install_problems",
    "read_after",
    "read_model_router",
    "store_router",
]
