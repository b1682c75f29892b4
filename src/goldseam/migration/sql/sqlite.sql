SQLite needs nothing that the shared statements do not say.
