"""Append-only truth: append, read, follow, verify."""
