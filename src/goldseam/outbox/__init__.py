"""From the log to the topics: what is committed is relayed, in order, until it is acknowledged."""
