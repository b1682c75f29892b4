"""Event sourcing without CQRS: a log of facts, and state folded from it when it is asked for."""
