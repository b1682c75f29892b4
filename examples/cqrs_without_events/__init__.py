"""CQRS without event sourcing: plain order rows, and a read model of their own beside them."""
