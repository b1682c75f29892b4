"""The vocabulary: facts, their stable names, their place in the log."""
