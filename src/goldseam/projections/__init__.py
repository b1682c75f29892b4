"""Read models built from the log: rows and checkpoint commit together, rebuilds run beside."""
