"""Who looks at the dashboard: a browser sends no bearer token, so it logs in with one.

The cookie holds a number that means nothing elsewhere; the token itself stays on the server's
side of the door, and in no page, log or URL.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Scope

from goldseam.http.auth import Token
from goldseam.resilience.clock import Clock

PREFIX = "/dashboard"
LOGIN, LOGOUT, STATIC = f"{PREFIX}/login", f"{PREFIX}/logout", f"{PREFIX}/static/"
COOKIE = "goldseam_session"
SESSION_SECONDS = 8 * 3600
SESSIONS_MAX = 1_000


class DashboardSessions:
    """The sessions of one server, in memory: a restart logs everybody out.

    Args:
        needed: whether there are tokens; without any, this machine is served without a login.
    """

    def __init__(self, clock: Clock, *, needed: bool) -> None:
        self._clock, self._needed = clock, needed
        self._known: dict[str, tuple[Token, float]] = {}

    def begin(self, token: Token) -> str:
        """A new session for whoever has shown ``token``."""
        if len(self._known) >= SESSIONS_MAX:
            del self._known[next(iter(self._known))]
        session = secrets.token_urlsafe(32)
        self._known[session] = token, self._clock.monotonic() + SESSION_SECONDS
        return session

    def end(self, scope: Scope) -> None:
        """Forget the session of a request."""
        self._known.pop(_cookie(scope), None)

    def find(self, scope: Scope) -> Token | None:
        """Whose session a request belongs to."""
        found = self._known.get(_cookie(scope))
        if found is None or found[1] < self._clock.monotonic():
            return None
        return found[0]

    def handles(self, path: str) -> bool:
        """Whether ``path`` belongs to the dashboard."""
        return path == PREFIX or path.startswith(f"{PREFIX}/")

    def admit(self, scope: Scope) -> ASGIApp | None:
        """Let a browser in; or lead it to the login, or refuse the form of another site."""
        if _is_foreign(scope):
            return PlainTextResponse("this form was sent by another site", 403)
        if not self._needed or _is_open(scope["path"]):
            return None
        token = self.find(scope)
        if token is None:
            return RedirectResponse(LOGIN, 303)
        scope["goldseam.role"], scope["goldseam.tenant"] = token.role, token.tenant
        scope["goldseam.name"] = token.name
        return None


def _is_open(path: str) -> bool:
    """Whether a page of the dashboard is for those who have not logged in yet."""
    return path == LOGIN or path.startswith(STATIC)


def _is_foreign(scope: Scope) -> bool:
    """Whether another site's page makes the browser send this form."""
    headers = Headers(scope=scope)
    if scope["method"] in ("GET", "HEAD"):
        return False
    if headers.get("sec-fetch-site") in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc != headers.get("host")


def _cookie(scope: Scope) -> str:
    try:
        jar = SimpleCookie(Headers(scope=scope).get("cookie", ""))
    except CookieError:
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""
