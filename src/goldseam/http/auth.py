"""Bearer tokens with roles; and without tokens, loopback only."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import stat
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from goldseam.errors import InvalidInput
from goldseam.events.names import checked_name
from goldseam.http.problems import problem

Role = Literal["read", "write", "admin"]
ROLES: tuple[Role, ...] = ("read", "write", "admin")
"""Each role may do what the ones before it may."""

_OPEN_PATHS = ("/healthz", "/readyz")
_ADMIN = re.compile(r"/(heal|privacy)(/|$)")
_SETTINGS = re.compile(r"/schemas/(config|mode)(/|$)")
_PORT = re.compile(r":\d{0,5}$")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class TokensReadable(InvalidInput):
    """Others may read the token file: the server refuses to start."""


class Token(NamedTuple):
    """One line of the token file: a name, a role, the tenant it is bound to, a hash."""

    name: str
    role: Role
    tenant: str | None
    digest: str


def new_token(name: str, role: Role, tenant: str | None = None) -> tuple[str, str]:
    """A fresh secret, to be shown once, and its line for the token file."""
    for what, word in (("token name", name), ("tenant", tenant)):
        if word is not None and re.search(r"[\s#]|^\*$", checked_name(what, word)):
            raise InvalidInput(f"{what} {word!r} must be one word without # that is not *")
    secret = secrets.token_urlsafe(32)
    return secret, f"{name} {role} {tenant or '*'} {_digest(secret)}"


def read_tokens(path: Path) -> list[Token]:
    """The tokens in ``path``: lines of ``name role tenant-or-* sha256``; # begins a comment.

    Raises:
        TokensReadable: others may read the file.
        InvalidInput: it does not exist, or a line is not understood.
    """
    if not path.is_file():
        raise InvalidInput(f"the token file {path} does not exist")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TokensReadable(f"others may read the token file {path}; run: chmod 600 {path}")
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 4 or words[1] not in ROLES or not _DIGEST.fullmatch(words[3]):
            raise InvalidInput(f"line {number} of {path} must be: name role tenant-or-* sha256")
        tenant = None if words[2] == "*" else words[2]
        role = next(role for role in ROLES if role == words[1])
        found.append(Token(words[0], role, tenant, words[3]))
    if not found:
        raise InvalidInput(f"the token file {path} has no token; make one with --new-token NAME")
    return found


class Browsers(Protocol):
    """Pages for browsers, which send no bearer tokens; see goldseam.http.dashboard."""

    def handles(self, path: str) -> bool:
        """Whether ``path`` is one of theirs."""
        ...

    def admit(self, scope: Scope) -> ASGIApp | None:
        """Note in ``scope`` whose browser asks; or the answer that is given instead."""
        ...


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Authentication:
    """ASGI middleware: who may read, write, administer.

    With tokens every request but the health checks needs one. Without any, the Host header must
    name this machine, so that no web page can reach the server through a browser.
    """

    def __init__(
        self, app: ASGIApp, tokens: Sequence[Token] = (), browsers: Browsers | None = None
    ) -> None:
        self._app, self._tokens, self._browsers = app, tuple(tokens), browsers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in _OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        if self._browsers is not None and self._browsers.handles(scope["path"]):
            instead = self._browsers.admit(scope)
            if instead is not None or self._tokens:
                await (instead or self._app)(scope, receive, send)
                return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, name, detail = refusal
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        await problem(status, name, detail, headers=headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers = Headers(scope=scope)
        if not self._tokens:
            host = _PORT.sub("", headers.get("host", "")) or "localhost"
            if not is_loopback(host):
                return 421, "misdirected", "without tokens this server answers loopback names only"
            scope["goldseam.role"] = "admin"
            return None
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        token = find_token(secret.strip(), self._tokens) if scheme.lower() == "bearer" else None
        if token is None:
            return 401, "unauthenticated", "send a valid bearer token"
        needed = needed_role(scope["method"], scope["path"])
        if ROLES.index(token.role) < ROLES.index(needed):
            return 403, "forbidden", f"this needs the role {needed}, the token has {token.role}"
        asked = headers.get("goldseam-tenant")
        if token.tenant is not None and asked not in (None, token.tenant):
            return 403, "forbidden", "the token is bound to another tenant"
        scope["goldseam.role"], scope["goldseam.tenant"] = token.role, token.tenant
        scope["goldseam.name"] = token.name
        return None


def find_token(secret: str, tokens: Sequence[Token]) -> Token | None:
    """The token that ``secret`` is, or None."""
    digest = _digest(secret)
    found = None
    for token in tokens:  # all of them, so that the time tells nothing
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found


def needed_role(method: str, path: str) -> Role:
    """Reading reads, appending writes; steering, healing and what is about people administers."""
    if _ADMIN.search(path) or (method != "GET" and _SETTINGS.search(path)):
        return "admin"
    if method in ("GET", "HEAD"):
        return "read"
    return "admin" if "/read-models/" in path else "write"


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
