"""The embedded broker: topics as log-shaped tables in SQLite or PostgreSQL, behind the port."""

from goldseam.broker.embedded.broker import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
