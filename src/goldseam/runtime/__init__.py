"""Wiring from URLs, and supervision of what runs for long."""
