"""Read models built from the log: rows and checkpoint in one transaction, rebuilt beside the live."""
