"""An outbox without event sourcing: a plain service writes rows and facts in one transaction."""
