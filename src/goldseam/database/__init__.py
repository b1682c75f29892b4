"""The port to an SQL database: connections, statements by name, numbered migrations."""
