"""Find what ``module:attribute`` names: an application, its projections, its event classes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from goldseam.cli.console import required_store
from goldseam.projections.projection import Projection
from goldseam.runtime.application import Goldseam


def imported(name: str) -> Any:
    """The module ``name``, found from the working directory too.

    Raises:
        UsageError: it cannot be imported, with the reason.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise click.UsageError(f"{name!r} cannot be imported: {why}") from error


def loaded(path: str) -> Any:
    """What ``module:attribute`` names.

    Raises:
        UsageError: there is no such thing.
    """
    name, _, attribute = path.partition(":")
    if not name or not attribute:
        raise click.UsageError(f"{path!r} is not module:attribute, like shop.main:app")
    module = imported(name)
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise click.UsageError(f"{name!r} has no attribute {attribute!r}") from None


def application(path: str) -> Goldseam:
    """The application that ``module:attribute`` names."""
    found = loaded(path)
    if not isinstance(found, Goldseam):
        raise click.UsageError(f"{path!r} is not module:attribute of a Goldseam")
    return found


def steering(path: str, store: str | None) -> Goldseam:
    """An application that runs nothing here: the one named, or one of the projections named."""
    found = loaded(path)
    if isinstance(found, Goldseam):
        return found.steering(store)
    declared: Sequence[Any] = found if isinstance(found, Sequence) else [found]
    projections = [one() if isinstance(one, type) else one for one in declared]
    if not projections or not all(isinstance(one, Projection) for one in projections):
        raise click.UsageError(f"--app {path!r} is neither a Goldseam nor a list of projections")
    return Goldseam(required_store(store), projections, run=False)
