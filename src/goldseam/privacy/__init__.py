"""Personal fields under a key per subject, and the keys in a store of their own."""
