"""Dead letters that keep order: a stream parks behind its first bad record, the rest flows."""
