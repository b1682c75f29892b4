"""Templates, and the answers made of them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from goldseam.http.dashboard.views import compact, pretty, time_of

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
STATIC = {"dashboard.css": "text/css; charset=utf-8", "dashboard.js": "text/javascript"}
_HERE = "goldseam.http.dashboard"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(_HERE, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = time_of
    environment.filters["pretty"] = pretty
    environment.filters["compact"] = compact
    return environment


def page(request: Request, template: str, code: int = 200, **values: Any) -> Response:
    """One page."""
    role = request.scope.get("goldseam.role", "admin")
    text = (
        _environment()
        .get_template(template)
        .render(
            path=request.url.path,
            role=role,
            is_admin=role == "admin",
            who=request.scope.get("goldseam.name"),
            **values,
        )
    )
    headers = {"Content-Security-Policy": POLICY}
    return Response(text, code, headers=headers, media_type="text/html")


@cache
def static_text(name: str) -> bytes:
    """A file of the dashboard's own."""
    return (files(_HERE) / "static" / name).read_bytes()
