"""Where the shop's services keep their data and meet: from the environment, once, for all four.

Nothing else differs between a laptop and a cluster.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from goldseam.consumers.membership import StaticId

FOLDER, DATABASE, BROKER = "SHOP_FOLDER", "SHOP_DATABASE", "SHOP_BROKER"
PREFIX, PATIENCE, REDIS = "SHOP_PREFIX", "SHOP_PATIENCE_SECONDS", "SHOP_REDIS"

PATIENCE_SECONDS = 60.0
"""How long the saga waits for one answer of a service."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One shop's places.

    ``folder``: SQLite files and keys. ``database``: a PostgreSQL URL instead of the files, each
    service in a schema of its own. ``broker``: ``kafka://...`` instead of the embedded one.
    ``prefix``: tells the topics and schemas of several shops on the same servers apart.
    """

    folder: Path = Path("var/shop")
    database: str | None = None
    broker: str | None = None
    prefix: str = "shop_"
    patience_seconds: float = PATIENCE_SECONDS
    redis: str | None = None

    def store(self, service: str) -> str:
        """The store of one service, which no other service opens."""
        if self.database is not None:
            return f"{self.database}?schema={self.schema(service)}"
        return f"sqlite:///{self.folder}/{service}.db"

    def schema(self, service: str) -> str:
        """The PostgreSQL schema of one service."""
        return f"{self.prefix}{service}"

    @property
    def river(self) -> str:
        """The broker."""
        return self.broker or f"sqlite:///{self.folder}/broker.db"

    def topic(self, category: str) -> str:
        """The topic of a category of streams."""
        return f"{self.prefix}{category}"

    def topics(self, *categories: str) -> tuple[str, ...]:
        """Their topics."""
        return tuple(self.topic(one) for one in categories)

    def group(self, name: str) -> str:
        """The name of a consumer group, of this shop only."""
        return f"{self.prefix}{name}"

    @property
    def keys(self) -> str:
        """The keys of personal data: apart from the events."""
        return f"sqlite:///{self.folder}/keys.db"

    @property
    def key_provider(self) -> str:
        """Who wraps them."""
        return f"file://{self.folder.absolute()}/epochs"

    def member(self, consumer: str) -> StaticId:
        """One process for each consumer: after a crash it finds its partitions at once."""
        return StaticId(f"{consumer}-one", "the shop's settings", stable=True)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings that ``environment`` names; the defaults where it is silent."""
    return Settings(
        folder=Path(environment.get(FOLDER, "var/shop")),
        database=environment.get(DATABASE) or None,
        broker=environment.get(BROKER) or None,
        prefix=environment.get(PREFIX, "shop_"),
        patience_seconds=float(environment.get(PATIENCE, PATIENCE_SECONDS)),
        redis=environment.get(REDIS) or None,
    )


settings = from_environment(os.environ)
"""Of this process."""
