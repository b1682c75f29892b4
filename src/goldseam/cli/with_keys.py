"""What the commands about people share: the store, its keys, its application, as options."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import click

from goldseam.cli.applications import application, imported
from goldseam.cli.console import json_option, required_store, run, store_option
from goldseam.events.registry import Registry, registry
from goldseam.privacy.vault import Vault
from goldseam.projections.hosted import HostedProjection
from goldseam.runtime.application import Goldseam
from goldseam.runtime.keys import open_vault
from goldseam.runtime.settings import (
    KEY_PROVIDER_VARIABLE,
    KEYS_VARIABLE,
    key_provider_url,
    keys_url,
)
from goldseam.runtime.wiring import open_store
from goldseam.store.event_store import EventStore

F = TypeVar("F", bound=Callable[..., Any])


class Doors(NamedTuple):
    """The options that every command takes."""

    store: str | None
    keys: str | None
    provider: str | None
    tenant: str
    app: str | None
    modules: tuple[str, ...]
    as_json: bool


class Opened(NamedTuple):
    """What a command works with."""

    store: EventStore
    vault: Vault
    projections: Mapping[str, HostedProjection]


def doors(function: F) -> F:
    """The options that every command takes, as its first argument."""

    @functools.wraps(function)
    def command(
        store: str | None,
        keys: str | None,
        key_provider: str | None,
        tenant: str,
        app: str | None,
        modules: tuple[str, ...],
        as_json: bool,
        **rest: Any,
    ) -> Any:
        return function(Doors(store, keys, key_provider, tenant, app, modules, as_json), **rest)

    for option in (
        click.option("--module", "modules", multiple=True, help="Import event classes from here."),
        click.option(
            "--app", metavar="MODULE:ATTRIBUTE", help="The Goldseam with the read models."
        ),
        click.option("--tenant", default="main", show_default=True),
        click.option("--key-provider", metavar="URL", help=f"Else {KEY_PROVIDER_VARIABLE}."),
        click.option("--keys", metavar="URL", help=f"The key store; else {KEYS_VARIABLE}."),
        json_option,
        store_option,
    ):
        command = option(command)
    return command  # type: ignore[return-value]


def with_keys(given: Doors, work: Callable[[Opened], Coroutine[Any, Any, Any]]) -> Any:
    """Run ``work`` with the store and its vault open."""

    async def inside() -> Any:
        async with opened_with(given) as opened:
            return await work(opened)

    return run(inside())


@asynccontextmanager
async def opened_with(given: Doors) -> AsyncIterator[Opened]:
    """The store with its vault, by the application if there is one."""
    application = application_of(given)
    keys, provider = key_urls(given, application)
    async with AsyncExitStack() as stack:
        if application is not None:
            application._keys = keys, provider  # noqa: SLF001 -- the command line's own twin
            app = await stack.enter_async_context(application)
            assert app.vault is not None
            yield Opened(app.store.for_tenant(given.tenant), app.vault, app.projections)
            return
        vault = await open_vault(keys, provider, apply=True)
        stack.push_async_callback(vault.close)
        types = registry if given.modules else Registry(open_to_unknown=True)
        url = required_store(given.store)
        store = await open_store(url, apply=False, registry=types, vault=vault)
        await stack.enter_async_context(store)
        yield Opened(store.for_tenant(given.tenant), vault, {})


def application_of(given: Doors) -> Goldseam | None:
    """The application that ``--app`` names, for steering only; event classes are imported."""
    for name in given.modules:
        imported(name)
    if given.app is None:
        return None
    path = given.app if ":" in given.app else f"{given.app}:app"
    return application(path).steering(given.store)


def key_urls(given: Doors, application: Goldseam | None) -> tuple[str, str]:
    """Where the keys are and who wraps them: as given, else as the application says."""
    keys, provider = keys_url(given.keys), key_provider_url(given.provider)
    if keys and provider:
        return keys, provider
    declared = None if application is None else application._keys  # noqa: SLF001
    if declared is None:
        raise click.UsageError(
            f"no keys: give --keys sqlite:///keys.db or set {KEYS_VARIABLE}, and --key-provider "
            f"file:///folder or set {KEY_PROVIDER_VARIABLE}"
        )
    return keys or declared[0], provider or declared[1]
