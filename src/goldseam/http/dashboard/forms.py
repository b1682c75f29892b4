"""What a form of the dashboard has sent: a few short fields."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from goldseam.http.problems import Refusal

FIELDS_MAX = 20
TEXT_MAX = 1_000


async def form_of(request: Request) -> dict[str, str]:
    """The fields by name.

    Raises:
        Refusal: 400, it is no form, or a text is too long.
    """
    try:
        body = (await request.body()).decode("utf-8")
        fields = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=FIELDS_MAX))
    except ValueError:
        raise Refusal(400, "invalid-request", "the form cannot be read") from None
    for name, value in fields.items():
        if len(value) > TEXT_MAX:
            raise Refusal(400, "invalid-request", f"{name} is longer than {TEXT_MAX} characters")
    return fields


async def order_of(request: Request) -> tuple[str, str]:
    """Who asks for a change, and why.

    Raises:
        Refusal: 403 without the role admin, 400 without a reason.
    """
    if request.scope.get("goldseam.role", "admin") != "admin":
        raise Refusal(403, "forbidden", "this needs the role admin")
    reason = (await form_of(request)).get("reason", "").strip()
    if not reason:
        raise Refusal(400, "invalid-request", "say why: reason")
    return request.scope.get("goldseam.name") or "dashboard", reason
