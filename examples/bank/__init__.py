"""The guide's account: typed commands, a balance to read, an HTTP application of its own."""
