"""``goldseam serve``: a store and its read models over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import click

from goldseam.cli.applications import application, imported
from goldseam.cli.console import REFUSED, USAGE, required_store, store_option
from goldseam.errors import GoldseamError, MissingExtra
from goldseam.events.registry import Registry, registry
from goldseam.runtime.application import Goldseam
from goldseam.runtime.settings import key_provider_url, keys_url, tokens_file

DEFAULT_PORT = 8400


@click.command()
@store_option
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True)
@click.option("--module", "modules", multiple=True, help="Import event classes from here.")
@click.option("--app", "app_path", help="module:attribute of a Goldseam, with its projections.")
@click.option("--keys", help="Where the keys of personal data are stored; or GOLDSEAM_KEYS.")
@click.option("--key-provider", help="Who wraps them; or GOLDSEAM_KEY_PROVIDER.")
@click.option("--tokens", help="File of bearer tokens, readable by you alone; or GOLDSEAM_TOKENS.")
@click.option("--new-token", "new_name", metavar="NAME", help="Print a new token and its line.")
@click.option("--role", type=click.Choice(["read", "write", "admin"]), default="read")
@click.option("--tenant", help="Bind the new token to this tenant.")
@click.option("--body-bytes-max", type=click.IntRange(min=1), default=2 * 1024 * 1024)
def command(
    store: str | None,
    host: str,
    port: int,
    modules: tuple[str, ...],
    app_path: str | None,
    keys: str | None,
    key_provider: str | None,
    tokens: str | None,
    new_name: str | None,
    role: str,
    tenant: str | None,
    body_bytes_max: int,
) -> None:
    """Serve the store over HTTP on this machine; elsewhere only with --tokens."""
    try:
        from goldseam.http.auth import Role, TokensReadable, new_token, read_tokens
        from goldseam.http.server import RefusedToListen, check_listening, serve
    except MissingExtra as missing:
        raise click.UsageError(str(missing)) from None
    try:
        if new_name is not None:
            _show_token(*new_token(new_name, cast(Role, role), tenant))
            return
        path = tokens_file(tokens)
        known = read_tokens(Path(path)) if path else []
        check_listening(host, known)
        app = _application(store, modules, app_path, (keys, key_provider))
    except (RefusedToListen, TokensReadable) as refused:
        click.echo(f"goldseam: {refused}", err=True)
        sys.exit(REFUSED)
    except GoldseamError as error:
        click.echo(f"goldseam: {error}", err=True)
        sys.exit(USAGE)
    from goldseam.http.app import create_app

    shown = f"[{host}]" if ":" in host else host
    click.echo(f"serving on http://{shown}:{port}/v1 (OpenAPI at /openapi.json)", err=True)
    serve(create_app(app, tokens=known, body_bytes_max=body_bytes_max), host, port, known)


def _show_token(secret: str, line: str) -> None:
    click.echo(f"token, shown only now: {secret}", err=True)
    click.echo(line)


def _application(
    store: str | None,
    modules: tuple[str, ...],
    app_path: str | None,
    keys: tuple[str | None, str | None],
) -> Goldseam:
    for module in modules:
        imported(module)
    if app_path is not None:
        return application(app_path if ":" in app_path else f"{app_path}:app")
    return Goldseam(
        required_store(store),
        registry=registry if modules else Registry(open_to_unknown=True),
        keys=keys_url(keys[0]),
        key_provider=key_provider_url(keys[1]),
    )
