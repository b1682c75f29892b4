"""The head of the river: a command is decided by pure functions, its facts are appended."""
