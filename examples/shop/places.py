"""The schemas and topics of a shop on servers: made before it opens, taken away on request."""

from __future__ import annotations

from examples.shop.books import SERVICES
from examples.shop.settings import Settings

TIMEOUT_SECONDS = 30


def made(settings: Settings) -> None:
    """Make the schemas, where there is a PostgreSQL."""
    _each_schema(settings, "CREATE SCHEMA IF NOT EXISTS {}")


def cleared(settings: Settings) -> None:
    """Drop the schemas and delete the topics of this shop."""
    _each_schema(settings, "DROP SCHEMA IF EXISTS {} CASCADE")
    if settings.broker is not None:
        _delete_topics(settings.broker.removeprefix("kafka://"), settings.prefix)


def _each_schema(settings: Settings, statement: str) -> None:
    if settings.database is None:
        return
    import psycopg
    from psycopg import sql

    with psycopg.connect(settings.database, autocommit=True) as connection:
        for service in SERVICES:
            name = sql.Identifier(settings.schema(service))
            connection.execute(sql.SQL(statement).format(name))


def _delete_topics(servers: str, prefix: str) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": servers})
    ours = [name for name in admin.list_topics(timeout=TIMEOUT_SECONDS).topics
            if name.startswith(prefix)]  # fmt: skip
    for deleted in admin.delete_topics(ours).values() if ours else ():
        deleted.result(timeout=TIMEOUT_SECONDS)
