"""Forget a person: destroy the key, follow it everywhere, and prove that nothing is left."""
