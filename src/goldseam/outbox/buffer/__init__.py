"""A bounded, fsynced queue for publishers without a database of their own."""
