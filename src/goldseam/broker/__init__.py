"""The broker's side of the river: what a record is, and what every broker can do."""
